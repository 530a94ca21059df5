// A list of identifiers in the text of a setting: names separated by commas. Any process. Pure.
// PostgreSQL: SplitIdentifierString in src/backend/utils/adt/varlena.c, REL_15_STABLE.

/** One element with what follows it: in double quotes, a doubled one being a quote, or anything up to a blank or a comma. */
const ELEMENT = /(?:"((?:[^"]|"")*)"|([^\s,"][^\s,]*))\s*(,\s*|$)/y;

/**
 * Takes a list apart. Without quotes a name is taken in lower case; an empty text is an empty list.
 * @returns null where the syntax is wrong: an empty element, a blank inside of one, a quote that is not closed
 * @pg SplitIdentifierString
 */
export function splitIdentifierString(text: string): string[] | null {
  const names: string[] = [];
  const list = text.trim();
  if (list === '') return names;
  ELEMENT.lastIndex = 0;
  for (;;) {
    const match = ELEMENT.exec(list);
    if (match === null) return null;
    const [, quoted, plain, separator] = match;
    names.push(quoted === undefined ? (plain as string).toLowerCase() : quoted.replaceAll('""', '"'));
    if (separator === '') return names;
  }
}
