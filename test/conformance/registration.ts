// How scenarios describe a worker: as the fields of a `reg` step or of a static registration, or, from SQL and from files, as lines `name=value`.
// Used by the judge and by the worker library. Pure.

/** The module of scripted workers, as the scenarios know it. */
export const LIBRARY = 'bgworacle';
export const MAIN_FUNCTION = 'ora_main';

/** A worker to register, with the language's defaults filled in. `notify` stays what the scenario said: only whoever registers knows the pids. */
export interface Registration {
  readonly name: string;
  readonly type?: string;
  readonly flags: number;
  readonly start: number;
  readonly restart: number;
  readonly lib: string;
  readonly func: string;
  readonly arg: number;
  /** `self`, 0 for nobody, a pid, or `sess:NAME`. */
  readonly notify: string | number;
  /** `TAG SCRIPT`. */
  readonly extra: string;
  /** Static registrations only: call RegisterDynamicBackgroundWorker in the postmaster instead. */
  readonly dyn?: boolean;
}

/** What a scenario may say of a worker; everything has a default. */
export interface WorkerFields {
  readonly w?: string;
  readonly name?: string;
  readonly rawname?: string;
  readonly type?: string;
  readonly flags?: number;
  readonly start?: number;
  readonly restart?: number;
  readonly lib?: string;
  readonly func?: string;
  readonly arg?: number;
  readonly notify?: string | number;
  readonly script?: string;
  readonly dyn?: number;
}

/** What the C module's strlcpy left of `TAG SCRIPT` in bgw_extra. */
const EXTRA_BYTES = 127;
/** And of bgw_library_name. The other fields are as long here, and what does not fit into them is left out by us. */
const LIBRARY_BYTES = 95;

const firstBytes = (text: string, count: number): string => Buffer.from(text).subarray(0, count).toString();

export const REGISTRATION_DEFAULTS = { flags: 1, start: 2, restart: -1, lib: LIBRARY, func: MAIN_FUNCTION, arg: 0, notify: 0 } as const;

export function registrationOf(scenario: string, fields: WorkerFields): Registration {
  const tag = `${scenario}.${fields.w ?? 'w'}`;
  const { flags, start, restart, lib, func, arg, notify, type, dyn } = { ...REGISTRATION_DEFAULTS, ...fields };
  return {
    name: fields.rawname ?? fields.name ?? tag,
    ...(type === undefined ? {} : { type }),
    flags,
    start,
    restart,
    lib: firstBytes(lib, LIBRARY_BYTES),
    func,
    arg,
    notify,
    extra: firstBytes(`${tag} ${fields.script ?? ''}`, EXTRA_BYTES),
    ...(dyn ? { dyn: true } : {}),
  };
}

const NUMBERS = new Set(['flags', 'start', 'restart', 'arg']);
const TEXTS = new Set(['name', 'rawname', 'type', 'lib', 'func', 'extra', 'notify']);

/** A worker described in lines `field=value`: the argument of `bgwo_reg`, and the files of the script command D. */
export function parseRegistration(text: string): Registration {
  const fields: Record<string, string | number> = {};
  for (const line of text.split('\n').filter((line) => line !== '')) {
    const [, field, value] = /^(\w+)=(.*)$/s.exec(line) ?? [];
    if (field === undefined || value === undefined) throw new Error(`unrecognized line in a worker's description: "${line}"`);
    if (NUMBERS.has(field)) fields[field] = Number(value);
    else if (TEXTS.has(field)) fields[field] = value;
    else throw new Error(`unrecognized field in a worker's description: "${field}"`);
  }
  const { name = '', rawname = name, lib = LIBRARY, extra = '', ...rest } = fields;
  const cut = { lib: firstBytes(String(lib), LIBRARY_BYTES), extra: firstBytes(String(extra), EXTRA_BYTES) };
  return { ...REGISTRATION_DEFAULTS, ...rest, ...cut, name: String(rawname) };
}
