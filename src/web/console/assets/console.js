// What a script adds to the console's pages: they change while one looks, times are local, fields can be copied, keys lead to
// pages. Everything else works without it.
"use strict";
(() => {
  // Parts of pages come from the console itself, which has escaped all that is not its own.
  const policy = window.trustedTypes ? trustedTypes.createPolicy("doorbell", { createHTML: (text) => text }) : { createHTML: (text) => text };
  const parse = (html) => {
    const template = document.createElement("template");
    template.innerHTML = policy.createHTML(html);
    return template.content;
  };

  // Times: shown as in UTC by the server; here as the clock on the wall.
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const hour = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const local = (root) => {
    for (const time of root.querySelectorAll("time")) {
      const at = new Date(time.dateTime);
      if (isNaN(at)) continue;
      time.title = time.title || time.textContent;
      const today = at.toDateString() === new Date().toDateString();
      time.textContent = (today ? hour : day).format(at);
    }
  };

  const copyable = (root) => {
    for (const button of root.querySelectorAll("button[data-copy][hidden]")) button.hidden = false;
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const words = button.textContent;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      // Browsers allow it only on https and on this computer.
      const field = document.createElement("textarea");
      field.value = button.dataset.copy;
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    button.textContent = "copied";
    announce("Copied: " + button.dataset.copy.slice(0, 80));
    setTimeout(() => { button.textContent = words; }, 900);
  });

  const voice = document.createElement("div");
  voice.setAttribute("role", "status");
  voice.className = "skip";
  document.body.append(voice);
  const announce = (text) => { voice.textContent = text; };

  // What changes while one looks.
  const live = document.getElementById("live");
  const word = document.getElementById("live-word");
  const pause = document.getElementById("pause");
  let source = null;
  let isPaused = false;
  let waiting = null;
  const show = (html) => {
    const open = new Set([...live.querySelectorAll("details[open]")].map((d) => d.querySelector("summary")?.textContent));
    const known = new Set([...live.querySelectorAll("tr[id]")].map((row) => row.id));
    const part = parse(html);
    for (const details of part.querySelectorAll("details")) if (open.has(details.querySelector("summary")?.textContent)) details.open = true;
    if (known.size > 0) for (const row of part.querySelectorAll("tr[id]")) if (!known.has(row.id)) row.classList.add("fresh");
    local(part);
    const focused = live.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    live.replaceChildren(part);
    copyable(live);
    if (focused) live.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    document.dispatchEvent(new CustomEvent("doorbell:part"));
  };
  // Nobody wants a list to move while a text in it is being marked, or a form in it filled in.
  const isBusy = () => {
    const marked = document.getSelection();
    const typing = live.contains(document.activeElement) && /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    return isPaused || typing || (marked && !marked.isCollapsed && live.contains(marked.anchorNode));
  };
  const update = () => {
    if (waiting !== null && !isBusy()) { show(waiting); waiting = null; }
  };
  const say = (text) => { if (word) word.textContent = text; };
  const bar = document.querySelector("header[data-live]");
  const failed = document.getElementById("failed-count");
  const listen = () => {
    if (!bar || source) return;
    // A page that does not change is told how many runs have failed.
    source = new EventSource(bar.dataset.live + (live ? "?of=" + encodeURIComponent(location.pathname + location.search) : ""));
    source.addEventListener("part", (event) => { waiting = event.data; if (live) update(); });
    source.addEventListener("failed", (event) => { failed.textContent = event.data; failed.hidden = event.data === ""; });
    source.onopen = () => { if (!isPaused) say("Live."); };
    source.onerror = () => {
      say("The connection to Doorbell is lost; trying again …");
      if (source.readyState === EventSource.CLOSED) { source = null; setTimeout(listen, 3000); }
    };
  };
  const hush = () => { source?.close(); source = null; };
  if (live) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      isPaused = !isPaused;
      pause.textContent = isPaused ? "Go on" : "Pause";
      say(isPaused ? "Paused." : "Live.");
      update();
    });
    document.addEventListener("selectionchange", update);
  }
  if (bar) {
    // A page that nobody sees needs no updates, and browsers open only a few connections to one server.
    document.addEventListener("visibilitychange", () => (document.hidden ? hush() : listen()));
    if (!document.hidden) listen();
  }

  // The editor: what is typed is checked and tried by the server, as the button does.
  const editor = document.getElementById("editor");
  if (editor) {
    const look = document.getElementById("look");
    const text = document.getElementById("text");
    let timer = 0;
    let asked = 0;
    const cannot = (text) => {
      const said = document.createElement("p");
      said.className = "said bad";
      said.textContent = text;
      look.replaceChildren(said);
    };
    // Fields in the column that is replaced keep what is typed in them.
    const replace = (column, part) => {
      const kept = new Map([...column.querySelectorAll("[data-keep]")].map((field) => [field.dataset.keep, field]));
      const focused = document.activeElement?.dataset?.keep;
      const open = new Set([...kept.values()].filter((field) => field.closest("details")?.open).map((field) => field.dataset.keep));
      for (const field of part.querySelectorAll("[data-keep]")) {
        const before = kept.get(field.dataset.keep);
        if (!before) continue;
        field.value = before.value;
        if (open.has(field.dataset.keep)) field.closest("details").open = true;
      }
      column.replaceChildren(part);
      const field = focused === undefined ? null : [...column.querySelectorAll("[data-keep]")].find((one) => one.dataset.keep === focused);
      if (!field) return;
      const before = kept.get(focused);
      field.focus({ preventScroll: true });
      field.setSelectionRange(before.selectionStart, before.selectionEnd);
    };
    const tryIt = async () => {
      if (text.readOnly) return;
      const form = new URLSearchParams(new FormData(editor));
      form.set("do", "look");
      form.delete("anyway");
      const mine = ++asked;
      try {
        const answer = await fetch(editor.dataset.address, { method: "POST", body: form });
        if (mine !== asked) return;
        if (answer.redirected) return cannot("You are not logged in any more. Copy your text, then reload this page.");
        if (!answer.ok) return cannot("Doorbell cannot check this text. Copy it, then reload this page to see why.");
        const { problems, shown } = await answer.json();
        if (mine !== asked) return;
        const part = parse(shown);
        local(part);
        // The editor has buttons of its own, which know what was typed in the meantime.
        if (document.querySelector(".written .code")) for (const fix of part.querySelectorAll(".fix")) fix.remove();
        replace(look, part);
        editor.dispatchEvent(new CustomEvent("doorbell:looked", { detail: { problems, text: form.get("text") } }));
      } catch {
        if (mine === asked) cannot("The connection to Doorbell is lost; your text is still here.");
      }
    };
    editor.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(tryIt, 350); });
    editor.addEventListener("change", tryIt);
    text.addEventListener("keydown", (event) => {
      // Two spaces, as YAML wants them. Escape, then Tab, leaves the field.
      if (event.key === "Tab" && !event.shiftKey && !text.dataset.left) {
        event.preventDefault();
        document.execCommand("insertText", false, "  ");
      }
      text.dataset.left = event.key === "Escape" ? "yes" : "";
    });
    // What was said about saving is about the text of then.
    const saved = editor.dataset.unsaved === undefined ? text.value : null;
    const word = document.getElementById("unsaved");
    const isUnsaved = () => text.value !== saved;
    editor.addEventListener("input", () => {
      if (!isUnsaved()) { if (word) word.textContent = ""; return; }
      if (word) word.textContent = "Not saved yet.";
      for (const said of document.querySelectorAll("main > .said[role=status]")) said.remove();
    });
    let isSaving = false;
    editor.addEventListener("submit", () => { isSaving = true; });
    window.addEventListener("beforeunload", (event) => { if (!isSaving && isUnsaved()) event.preventDefault(); });
    document.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key === "s") {
        event.preventDefault();
        editor.querySelector("button[value=save]")?.click();
      }
    });
  }

  // Keys: `g` and a letter lead to a page, `/` to the search, `?` shows them.
  let isGoing = false;
  document.addEventListener("keydown", (event) => {
    // The editor's own field is inside of the element that the event seems to come from.
    const target = event.composedPath()[0];
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) || target.isContentEditable) return;
    const leads = (key) => document.querySelector(`.bar [data-key="${CSS.escape(key)}"]`);
    if (isGoing) {
      isGoing = false;
      const link = leads(event.key);
      if (link) { event.preventDefault(); link.click(); }
    } else if (event.key === "g") {
      isGoing = true;
      setTimeout(() => { isGoing = false; }, 1500);
    } else if (event.key === "c") {
      leads("c")?.click();
    } else if (event.key === "/") {
      const field = document.querySelector("[role=search] input[name=text]");
      if (field) { event.preventDefault(); field.focus(); }
    } else if (event.key === "?") {
      const all = [...document.querySelectorAll(".bar nav [data-key]")].map((a) => `g ${a.dataset.key}  ${a.firstChild.textContent.trim()}`);
      alert(["Keys:", ...all, "c  New rule", "/  Search"].join("\n"));
    }
  });

  local(document);
  copyable(document);
})();
