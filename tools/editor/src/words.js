// What can be written at a place, and what a word there means, from the words that Doorbell sends: the schema of rule files, the
// helpers, the senders, and the fields of events that really came. Nothing here knows the editor.

import { entry, keysAround, template } from "./place.js";

/** What a field, or the beginning of one, is made of. */
export const FIELD = /[\w.@$[\]'-]*$/;

/** A schema and everything that holds for the same value. */
function expanded(root, schema, depth = 0) {
  if (!schema || typeof schema !== "object" || depth > 8) return [];
  const inner = [schema.allOf, schema.anyOf, schema.oneOf, [schema.then, schema.else]].flat();
  if (schema.$ref) inner.push(root.definitions[schema.$ref.split("/").pop()]);
  return [schema, ...inner.flatMap((one) => expanded(root, one, depth + 1))];
}

/** The schemas of a part of what some schemas describe. */
function part(root, schemas, key) {
  const found = schemas.flatMap((schema) => {
    if (key === "[]") return schema.items ? [schema.items] : [];
    if (schema.properties && Object.hasOwn(schema.properties, key)) return [schema.properties[key]];
    return typeof schema.additionalProperties === "object" ? [schema.additionalProperties] : [];
  });
  return found.flatMap((schema) => expanded(root, schema));
}

/** The schemas of what is at a path; none where anything can be written. */
export function schemasAt(root, path) {
  let schemas = expanded(root, root);
  for (const key of path) schemas = part(root, schemas, key);
  return schemas;
}

/** What a key means: its line in the schema. */
export function meaning(root, path) {
  return schemasAt(root, path).find((schema) => schema.description)?.description ?? "";
}

const option = (label, more) => ({ label, apply: label, ...more });

/** The keys of a step that has a verb, or what a step can begin with. */
function ofStep(words, schema, names, siblings) {
  const verb = words.verbs.find((known) => siblings.has(known.name));
  const isVerb = (name) => (schema.anyOf ?? []).some((one) => one.required?.includes(name));
  if (!verb && ![...siblings.keys()].some(isVerb)) return names;
  const foreign = (name) => words.verbs.some((known) => known.keys.includes(name)) && !verb?.keys.includes(name);
  return names.filter((name) => !isVerb(name) && !foreign(name));
}

/** The keys of a map, with what follows them. What only limits a value, such as a pattern for it, describes nothing. */
function keys(words, schemas, siblings) {
  const all = new Map();
  for (const schema of schemas.filter((one) => one.properties)) {
    const isStep = schema === words.schema.definitions.step;
    const described = Object.keys(schema.properties).filter((name) => explained(words, schema, name));
    const names = isStep ? ofStep(words, schema, described, siblings) : described;
    const isVerb = (name) => isStep && schema.anyOf.some((one) => one.required[0] === name);
    for (const name of names) {
      if (siblings.has(name) || all.has(name)) continue;
      all.set(name, option(name, { apply: `${name}: `, kind: "key", info: explained(words, schema, name), boost: isVerb(name) ? 1 : 0 }));
    }
  }
  return [...all.values()];
}

function explained(words, schema, name) {
  const own = schema.properties[name];
  return expanded(words.schema, own).find((one) => one.description)?.description ?? "";
}

/** The senders and other schemes that can follow `verify:`. */
function schemes(words, siblings) {
  const known = Object.keys(words.schema.definitions.verify.properties);
  return known.filter((name) => !siblings.has(name)).map((name) => {
    const sender = words.senders.find((one) => one.name === name);
    return option(name, { apply: `${name}: `, kind: "key", detail: sender?.title ?? "", info: sender ? aboutSender(sender) : "" });
  });
}

export function aboutSender(sender) {
  return [sender.title, `verify: ${sender.write}`, sender.paste, sender.note].filter(Boolean).join("\n");
}

/** The addresses that a place of a file is about; none if it does not say. */
export function addressesAt(path, lines, count, number) {
  if (path[0] === "webhooks" && path.length > 1) return [path[1]];
  if (path[0] !== "rules" || path.length < 2) return [];
  const indent = (n) => lines(n).length - lines(n).trimStart().length;
  let first = number;
  while (first > 0 && !(entry(lines(first))?.key === path[1] && keysAround(lines, first, indent(first)).length === 1)) first -= 1;
  const found = addressesIn(lines(first));
  for (let n = first + 1; n < count; n += 1) {
    if (lines(n).trim() && indent(n) <= indent(first)) break;
    found.push(...addressesIn(lines(n)));
  }
  return found;
}

/** The addresses that a line names with `webhook:`. */
export function addressesIn(text) {
  const found = /(?:^|[\s{,-])webhook:\s*(?:"([^"]+)"|'([^']+)'|([^\s"',}\]]+))/.exec(text);
  return found ? [found[1] ?? found[2] ?? found[3]] : [];
}

/** The names that rules give to values: with `save_as:`, and below `set:`. */
function given(lines, count) {
  const names = new Set();
  for (let n = 0; n < count; n += 1) {
    const text = lines(n);
    const saved = /(?:^|[\s{,-])save_as:\s*["']?([A-Za-z_]\w*)/.exec(text);
    if (saved) names.add(saved[1]);
    const set = /^(\s*)set:\s*(.*)$/.exec(text);
    if (!set) continue;
    for (const name of set[2].matchAll(/[{,]\s*([A-Za-z_]\w*):/g)) names.add(name[1]);
    for (let m = n + 1; m < count; m += 1) {
      const below = /^(\s*)([A-Za-z_]\w*):/.exec(lines(m));
      if (lines(m).trim() && (!below || below[1].length <= set[1].length)) break;
      if (below) names.add(below[2]);
    }
  }
  return [...names];
}

/** The list that the step around a line goes through. */
function listAround(lines, count, number, siblings) {
  const own = siblings.get("for_each");
  if (own) return own.trim();
  for (let n = number; n >= 0 && n > number - 30; n -= 1) {
    const found = /(?:^|[\s{,-])for_each:\s*([\w.[\]'@$-]+)/.exec(lines(n));
    if (found) return found[1];
    if (/^\s*then:/.test(lines(n))) return null;
  }
  return null;
}

/** Every field that came to some addresses, and the maps and lists that they are in. */
export function seenFields(words, addresses) {
  const fitting = words.seen.filter((one) => addresses.includes(one.address));
  const all = new Map();
  for (const { address, events, fields } of fitting.length > 0 ? fitting : words.seen) {
    for (const field of fields) {
      if (!all.has(field.name)) all.set(field.name, { ...field, of: events, address });
      for (let inner = field.name; (inner = inner.replace(/(\.[^.[\]]+|\[[^\]]*\])$/, "")).includes("."); ) {
        if (!all.has(inner)) all.set(inner, { name: inner, example: "", events: 0, of: events, address });
        if (!/[.\]]/.test(inner)) break;
      }
    }
  }
  return all;
}

export function aboutField(field) {
  const found = field.events > 0 ? `In ${field.events} of the last ${field.of} ${field.of === 1 ? "event" : "events"} at ${field.address}.` : `A part of the body of events at ${field.address}.`;
  return field.example ? `${found}\nLast: ${field.example}` : found;
}

/** Fields, written without braces. */
function fields(words, place, lines, count, number) {
  const seen = [...seenFields(words, addressesAt(place.path, lines, count, number)).values()];
  const list = listAround(lines, count, number, place.siblings);
  const inside = list === null ? [] : seen.filter((field) => field.name.startsWith(`${list}[0]`)).map((field) => ({ ...field, name: `item${field.name.slice(list.length + 3)}` }));
  const named = [...inside, ...seen].map((field) => option(field.name, { kind: "field", detail: field.example, info: aboutField(field), boost: field.events > 0 ? 0 : -1 }));
  const has = new Set(named.map((one) => one.label));
  const secrets = words.secrets.map((name) => option(`secret.${name}`, { kind: "field", info: "a secret, by its name" }));
  const roots = [...words.roots, ...given(lines, count)].filter((root) => !has.has(root)).map((root) => option(root, { kind: "word" }));
  return [...named, ...secrets, ...roots];
}

/** The helpers of templates. */
function helpers(words) {
  return words.helpers.map((helper) => option(helper.name, { kind: "helper", detail: helper.usage, info: aboutHelper(helper) }));
}

export function aboutHelper(helper) {
  return `${helper.usage}\n${helper.does}\n${helper.example} → ${helper.result}`;
}

/** What can be written at a place: options, and the column at which they begin; null where there is nothing to offer. */
export function offers(words, place, lines, count, number, column) {
  const text = lines(number);
  const inside = place.kind === "comment" ? null : template(text, column);
  const from = column - FIELD.exec(text.slice(0, column))[0].length;
  if (inside !== null) {
    const isFirst = /^\s*[#/^]?\s*[\w.@$[\]'-]*$/.test(inside) || /\(\s*[\w-]*$/.test(inside);
    const loops = /\{\{#each/.test(Array.from({ length: number + 1 }, (_, n) => lines(n)).slice(-20).join("\n")) ? words.loop_words.map((word) => option(word, { kind: "word" })) : [];
    return { from, options: [...fields(words, place, lines, count, number), ...loops, ...(isFirst ? helpers(words) : [])] };
  }
  if (place.kind === "comment") return null;
  const schemas = schemasAt(words.schema, place.path);
  const is = (name) => schemas.includes(words.schema.definitions[name]);
  const key = place.path[place.path.length - 1];
  if (place.kind === "key") {
    const options = is("verify") ? schemes(words, place.siblings) : keys(words, schemas, place.siblings);
    if (is("condition")) options.push(...fields(words, place, lines, count, number).map((one) => ({ ...one, apply: keyed(one.label) })));
    // An element of a list begins with a dash.
    const items = schemas.filter((schema) => schema.items).flatMap((schema) => expanded(words.schema, schema.items));
    if (!place.isFlow && items.length > 0) options.push(...keys(words, items, new Map()).map((one) => ({ ...one, apply: `- ${one.apply}` })));
    return { from: place.from, options };
  }
  if (words.field_keys.includes(key) || new RegExp(`^(${words.roots.join("|")})[.[]`).test(place.word)) {
    const options = fields(words, place, lines, count, number).filter((one) => !one.label.startsWith("secret."));
    return { from, options: [...options, ...values(schemas)] };
  }
  if (key === "webhook") {
    return { from: place.from, options: known(words, lines, count).map((address) => option(address, { kind: "word", apply: /[{}]/.test(address) ? `"${address}"` : address })) };
  }
  const verify = is("verify") ? schemes(words, new Map()) : keys(words, schemas, new Map());
  const inline = place.isFlow && place.path.includes("[]") && schemas.length === 0 ? [] : verify;
  const maps = inline.map((one) => ({ ...one, apply: `{ ${one.apply}`, after: " }" }));
  return { from: place.from, options: [...values(schemas), ...maps] };
}

/** A field as a key of `if:`. */
function keyed(field) {
  return /[[\]'$@]/.test(field) ? `"${field}": ` : `${field}: `;
}

/** The words that a schema lists, and true and false. */
function values(schemas) {
  const all = schemas.flatMap((schema) => schema.enum ?? (schema.type === "boolean" ? [true, false] : []));
  return [...new Set(all.map(String))].map((value) => option(value, { kind: "value" }));
}

/** The addresses that are in use, and those of this file. */
function known(words, lines, count) {
  const all = new Set(words.addresses);
  for (let n = 0; n < count; n += 1) {
    const key = entry(lines(n))?.key;
    if (key?.startsWith("/")) all.add(key);
  }
  return [...all];
}

/** What the word at a column of a line means: a text and where the word is; null if there is nothing to say. */
export function about(words, place, lines, count, number, column) {
  const text = lines(number);
  const start = column - /[\w.@$[\]'-]*$/.exec(text.slice(0, column))[0].length;
  const end = column + /^[\w@$[\]'-]*/.exec(text.slice(column))[0].length;
  const word = text.slice(start, end);
  if (!word || place.kind === "comment") return null;
  const said = (info) => (info ? { from: start, to: end, info } : null);
  const seen = seenFields(words, addressesAt(place.path, lines, count, number));
  const list = word.startsWith("item") ? listAround(lines, count, number, place.siblings) : null;
  const field = seen.get(list === null ? word : `${list}[0]${word.slice(4)}`);
  if (field && /[.[]/.test(word)) return said(aboutField(field));
  if (template(text, column) !== null) {
    const helper = words.helpers.find((one) => one.name === word);
    return helper ? said(aboutHelper(helper)) : null;
  }
  if (place.kind !== "key") return null;
  if (schemasAt(words.schema, place.path).includes(words.schema.definitions.verify)) {
    const sender = words.senders.find((one) => one.name === word);
    if (sender) return said(aboutSender(sender));
  }
  return said(meaning(words.schema, [...place.path, word]));
}
