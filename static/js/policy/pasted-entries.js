// Split a pasted list of processes: one on each line, with bullets or quotes, or on one line where that is unmistakable.
const isCertain = (part) => part.startsWith("/") || part.startsWith("sha256:");
const isName = (part) => /^[^\s/]+$/.test(part);

/** Return an entry without a bullet, a trailing comma and quotes. */
function bare(line) {
  const text = line.trim().replace(/^[-*\u2022]\s+/, "").replace(/[,;]$/, "").trim();
  return /^(["'`])[^"'`]*\1$/.test(text) ? text.slice(1, -1) : text;
}

const nonEmpty = (parts) => [...new Set(parts.map(bare).filter(Boolean))];

/** Return the entries of a pasted string; fewer than two where it is a single one, such as a path with spaces. */
export function pastedEntries(text) {
  const lines = nonEmpty(text.split(/[\r\n\t\0]+/).filter((line) => !/^\s*[[\]{}]\s*,?\s*$/.test(line)));
  if (lines.length !== 1) return lines;
  const inside = lines[0].replace(/^\[(.*)\]$/, "$1");
  const byComma = nonEmpty(inside.split(/\s*[,;]\s*/));
  const isList = byComma.every(isCertain) || byComma.every(isName) || (/[,;]\s/.test(inside) && byComma.every((part) => isCertain(part) || isName(part)));
  if (byComma.length > 1 && isList) return byComma;
  const byBlank = nonEmpty(inside.split(/\s+/));
  return byBlank.length > 1 && byBlank.every(isCertain) ? byBlank : lines;
}
