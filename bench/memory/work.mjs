// What a process does that is to grow: the same in a worker and in a child of child_process.fork. By number, for bench/memory.mjs.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

function allocate(objects) {
  let kept = [];
  for (let n = 0; n < objects; n++) {
    kept.push({ n, text: `object ${n}`, list: [n] });
    if (kept.length >= 2000) kept = kept.slice(1000);
  }
  return kept.length;
}

function collect() {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}

export const WORK = [
  ['nothing', () => {}],
  ['a full collection', collect],
  ['10,000 objects, short-lived', () => allocate(10_000)],
  ['1,000,000 objects, short-lived', () => allocate(1_000_000)],
  [
    'the same, and a full collection',
    () => {
      allocate(1_000_000);
      collect();
    },
  ],
];
