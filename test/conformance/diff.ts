// A readable difference of two lists of lines: what is common, what was expected and is missing (-), what came instead (+). Pure.

/** Lines around a difference that are shown with it. */
const CONTEXT = 2;

export function diffLines(expected: readonly string[], got: readonly string[]): string[] {
  const lines = alignment(expected, got);
  const near = lines.map((_, index) => lines.slice(Math.max(0, index - CONTEXT), index + CONTEXT + 1).some((line) => !line.startsWith(' ')));
  return lines.flatMap((line, index) => {
    if (near[index]) return [line];
    return near[index + 1] || (index === lines.length - 1 && lines.length > 1) ? ['  …'] : [];
  });
}

/** The longest common subsequence, by the textbook: signatures are short. */
function alignment(expected: readonly string[], got: readonly string[]): string[] {
  const lengths = Array.from({ length: expected.length + 1 }, () => new Uint32Array(got.length + 1));
  const at = (i: number, j: number): number => lengths[i]?.[j] ?? 0;
  for (let i = expected.length - 1; i >= 0; i--) {
    for (let j = got.length - 1; j >= 0; j--) {
      const row = lengths[i] as Uint32Array;
      row[j] = expected[i] === got[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: string[] = [];
  let i = 0;
  let j = 0;
  while (i < expected.length || j < got.length) {
    if (i < expected.length && j < got.length && expected[i] === got[j]) {
      lines.push(`  ${expected[i]}`);
      i++;
      j++;
    } else if (j >= got.length || (i < expected.length && at(i + 1, j) >= at(i, j + 1))) lines.push(`- ${expected[i++]}`);
    else lines.push(`+ ${got[j++]}`);
  }
  return lines;
}

/** What one list has more of than the other, counted: for lines whose order is free. */
export function diffCounts(expected: readonly string[], got: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const line of expected) counts.set(line, (counts.get(line) ?? 0) - 1);
  for (const line of got) counts.set(line, (counts.get(line) ?? 0) + 1);
  return [...counts].flatMap(([line, count]) => Array.from({ length: Math.abs(count) }, () => `${count < 0 ? '-' : '+'} ${line}`));
}
