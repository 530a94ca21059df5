// What the definition of a setting says. Any process; types, and the one number that they need.
// PostgreSQL: struct config_generic and its kin in src/include/utils/guc_tables.h, REL_15_STABLE.

/** When a setting may change: never, at the start of the postmaster, when the configuration file is read again, or any time within one process. */
export type SettingContext = 'internal' | 'postmaster' | 'sighup' | 'user';
export type SettingUnit = 'ms' | 's' | 'min' | 'B' | 'kB' | 'MB';
export type SettingValue = boolean | number | string | null;

/** Why a check hook refuses a value. `message` replaces the standard one. */
export interface CheckFailure {
  readonly message?: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly code?: string;
}

interface Definition<T> {
  readonly name: string;
  readonly context: SettingContext;
  /** One sentence. */
  readonly shortDesc: string;
  readonly longDesc?: string;
  readonly bootValue: T;
  /** Says whether a value that has passed the checks of its type will do: true, or why not. It must have no effect of its own. */
  readonly checkHook?: (value: T) => boolean | CheckFailure;
  /** Told each new value, and the first one too. It must not fail. */
  readonly assignHook?: (value: T) => void;
}

export interface BoolSetting extends Definition<boolean> {
  readonly type: 'bool';
}

export interface IntSetting extends Definition<number> {
  readonly type: 'int';
  readonly minValue: number;
  readonly maxValue: number;
  /** What the number counts; the text may then name a related unit. */
  readonly unit?: SettingUnit;
}

export interface StringSetting extends Definition<string | null> {
  readonly type: 'string';
  /** A name: only its first 63 bytes count. */
  readonly isName?: boolean;
}

export interface EnumSetting extends Definition<string> {
  readonly type: 'enum';
  readonly options: readonly string[];
  /** Other spellings, which no hint lists, and what each stands for. */
  readonly hidden?: Readonly<Record<string, string>>;
}

export type SettingDefinition = BoolSetting | IntSetting | StringSetting | EnumSetting;

/** INT_MAX of C, which bounds every integer setting. */
export const INT_MAX = 2147483647;
