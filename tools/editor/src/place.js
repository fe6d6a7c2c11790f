// Where something is in a rule file: the keys around a place, whether a key or a value is written there, and what stands next
// to it. Works on text that is not valid YAML yet, because people are still writing it: it goes by indentation and brackets.

const KEY = /^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'#{}[\],&*!|>%`-][^#]*?|-[^\s#][^#]*?)\s*:(?=\s|$)/;
/// How far up the beginning of a `{` or `[` is searched for, in lines.
const MOST_LINES = 200;

/** Without quotes. */
export function plain(text) {
  const trimmed = text.trim();
  const quote = trimmed[0];
  const isQuoted = trimmed.length > 1 && (quote === '"' || quote === "'") && trimmed.endsWith(quote);
  return isQuoted ? trimmed.slice(1, -1) : trimmed;
}

/** The dashes of a line, and the key and value after them, each with its column; null for a line without content. */
export function entry(text) {
  const dashes = [];
  let at = text.length - text.trimStart().length;
  if (at === text.length || text[at] === "#") return null;
  while (text[at] === "-" && (text[at + 1] === " " || at + 1 === text.length)) {
    dashes.push(at);
    at += 1;
    while (text[at] === " ") at += 1;
  }
  const key = KEY.exec(text.slice(at));
  if (!key) return { dashes, at, key: null, value: at };
  let value = at + key[0].length;
  while (text[value] === " ") value += 1;
  return { dashes, at, key: plain(key[1]), value };
}

/** The keys around a column of a line, from the outside; "[]" is an element of a list. The dashes of the line itself count. */
export function keysAround(lines, number, column) {
  const path = [];
  let limit = column;
  let isAfterDash = false;
  const dashes = (entry(lines(number)) ?? { dashes: [] }).dashes.filter((dash) => dash < column);
  for (const dash of dashes.reverse()) {
    path.unshift("[]");
    limit = dash;
    isAfterDash = true;
  }
  for (let n = number - 1; n >= 0 && (limit > 0 || isAfterDash); n -= 1) {
    const found = entry(lines(n));
    if (!found) continue;
    // A list may be indented as little as its key.
    const isParent = found.at < limit || (isAfterDash && found.at === limit && found.dashes.length === 0);
    if (found.key !== null && isParent) {
      path.unshift(found.key);
      limit = found.at;
      isAfterDash = false;
    }
    for (const dash of [...found.dashes].reverse()) {
      if (dash >= limit) continue;
      path.unshift("[]");
      limit = dash;
      isAfterDash = true;
    }
  }
  return path;
}

/** The other keys of the map in which a key at this column of a line would be, each with its value. */
function siblings(lines, count, number, column) {
  const all = new Map();
  const add = (found) => {
    if (found.key !== null && found.at === column) all.set(found.key, found.text.slice(found.value));
  };
  const read = (n) => {
    const found = entry(lines(n));
    return found && { ...found, text: lines(n) };
  };
  const own = read(number);
  if (!own || own.dashes.length === 0) {
    for (let n = number - 1; n >= 0; n -= 1) {
      const found = read(n);
      if (!found) continue;
      add(found);
      if ((found.dashes[0] ?? found.at) < column) break;
    }
  }
  for (let n = number + 1; n < count; n += 1) {
    const found = read(n);
    if (!found) continue;
    if ((found.dashes[0] ?? found.at) < column) break;
    add(found);
  }
  return all;
}

/** Reads what is between brackets, from a column of a line to a place; null if all brackets are closed there. */
function flow(lines, from, start, number, column) {
  const stack = [];
  let token = "";
  let tokenAt = [from, start];
  for (let n = from; n <= number; n += 1) {
    const text = n === number ? lines(n).slice(0, column) : lines(n);
    let quote = "";
    for (let at = n === from ? start : 0; at < text.length; at += 1) {
      const c = text[at];
      const top = stack[stack.length - 1];
      if (token.trim() === "" && c.trim() !== "") tokenAt = [n, at];
      if (quote) {
        if (c === "\\" && quote === '"') token += text[at++];
        else if (c === quote) quote = "";
        token += text[at] ?? "";
      } else if ((c === '"' || c === "'") && token.trim() === "") {
        quote = c;
        token += c;
      } else if (c === "#" && (at === 0 || text[at - 1] === " ")) {
        if (n === number) return null;
        break;
      } else if ((c === "{" || c === "[") && token.trim() === "") {
        stack.push({ kind: c, key: null, keys: new Map() });
        token = "";
      } else if (c === "}" || c === "]") {
        if (top?.key) top.keys.set(top.key, token.trim());
        stack.pop();
        token = "";
        if (stack.length === 0) return null;
      } else if (c === ",") {
        if (top?.key) top.keys.set(top.key, token.trim());
        if (top) top.key = null;
        token = "";
      } else if (c === ":" && top?.kind === "{" && top.key === null && (/\s/.test(text[at + 1] ?? " ") || /["']$/.test(token))) {
        top.key = plain(token);
        top.keys.set(top.key, "");
        token = "";
      } else {
        token += c;
      }
    }
  }
  if (stack.length === 0) return null;
  const top = stack[stack.length - 1];
  const path = [];
  for (const level of stack) {
    if (level.kind === "[") path.push("[]");
    else if (level.key !== null) path.push(level.key);
  }
  const isKey = top.kind === "{" && top.key === null;
  const begun = token.trimStart();
  if (!begun) tokenAt = [number, column];
  return { kind: isKey ? "key" : "value", path, siblings: top.keys, from: tokenAt[0] === number ? tokenAt[1] : column, word: begun, isFlow: true };
}

/** Whether a column of a line is in a comment. */
function isComment(text, column) {
  let quote = "";
  for (let at = 0; at < column; at += 1) {
    if (quote) quote = text[at] === quote ? "" : quote;
    else if (/["']/.test(text[at]) && /(^|[\s[{,])$/.test(text.slice(0, at))) quote = text[at];
    else if (text[at] === "#" && /(^|\s)$/.test(text.slice(0, at))) return true;
  }
  return false;
}

/** What is written in `{{ }}` before a column of a line; null outside. */
export function template(text, column) {
  const before = text.slice(0, column);
  const open = before.lastIndexOf("{{");
  if (open < 0 || before.indexOf("}}", open) >= 0) return null;
  return before.slice(open + 2).replace(/^\{/, "");
}

/**
 * The place of a column in a line; `lines` gives the text of a line by its number from 0, `count` is how many there are.
 *
 * `kind`: `key` or `value`, `comment`; `path`: the keys around it, for a value with its own key; `siblings`: the keys of the
 * same map and their values; `from` and `word`: what was begun there, as far as the column.
 */
export function placeAt(lines, count, number, column) {
  const text = lines(number);
  if (isComment(text, column)) return { kind: "comment", path: [], siblings: new Map(), from: column, word: "", isFlow: false };
  for (let n = number; n >= 0 && n > number - MOST_LINES; n -= 1) {
    const found = entry(lines(n));
    if (!found) continue;
    const start = lines(n)[found.value];
    if ((start === "{" || start === "[") && !(n === number && found.value >= column)) {
      const inside = flow(lines, n, found.value, number, column);
      if (inside) {
        const around = keysAround(lines, n, found.at);
        return { ...inside, path: [...around, ...(found.key === null ? [] : [found.key]), ...inside.path] };
      }
    }
    // A line at the very beginning ends everything above it.
    if (n < number && found.at === 0 && found.dashes.length === 0) break;
  }
  const found = entry(text) ?? { dashes: [], at: text.length, key: null, value: text.length };
  if (found.key !== null && column >= found.value) {
    const path = [...keysAround(lines, number, found.at), found.key];
    return { kind: "value", path, siblings: siblings(lines, count, number, found.at), from: found.value, word: text.slice(found.value, column), isFlow: false };
  }
  const at = Math.min(found.at, column);
  const path = keysAround(lines, number, at);
  return { kind: "key", path, siblings: siblings(lines, count, number, at), from: at, word: text.slice(at, column), isFlow: false };
}

/** The column at which the line after this one begins: below a key without a value, deeper; else beside the key. */
export function nextColumn(text) {
  const found = entry(text);
  if (!found) return text.length - text.trimStart().length;
  const value = text.slice(found.value);
  const isOpen = found.key !== null && /^([|>][+-]?\d?)?\s*(#.*)?$/.test(value);
  return isOpen ? found.at + 2 : found.at;
}

/** The UTF-16 index of a column that is counted in characters from 1. */
export function indexOfColumn(text, column) {
  let index = 0;
  for (let n = 1; n < column && index < text.length; n += 1) index += text.codePointAt(index) > 0xffff ? 2 : 1;
  return index;
}

/** The UTF-16 index of a byte of a text in UTF-8. */
export function indexOfByte(text, byte) {
  let index = 0;
  for (let bytes = 0; bytes < byte && index < text.length; ) {
    const code = text.codePointAt(index);
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    index += code > 0xffff ? 2 : 1;
  }
  return index;
}
