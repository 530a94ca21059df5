// From here on V8 compiles a function when it is called first, as it does by itself. Preloaded by the postmasters of bench/flags.mjs.
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--lazy');
