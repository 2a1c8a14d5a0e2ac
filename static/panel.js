// What a page does beyond htmx. Every page works without this file; nothing here decides anything.
(() => {
  "use strict";
  const root = document.documentElement;

  function choose(theme) {
    root.dataset.theme = theme;
    document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=lax`;
  }

  function countLines(area) {
    // The server's own rule (orders/forms.py): also the two characters backslash and n end a line.
    const lines = area.value.split(/\r\n|\r|\n|\\r\\n|\\n/).filter((line) => line.trim() !== "");
    const shown = document.querySelector(`#${area.dataset.lines} output`);
    if (shown) shown.textContent = lines.length.toLocaleString("en");
  }

  function prepare(page) {
    page.querySelectorAll("[data-theme-switch]").forEach((fieldset) => {
      fieldset.hidden = false;
      fieldset.querySelectorAll("input").forEach((input) => { input.checked = input.value === root.dataset.theme; });
    });
    page.querySelectorAll("[data-copy], [data-copy-picked]").forEach((button) => { button.hidden = !navigator.clipboard; });
    page.querySelectorAll("textarea[data-lines]").forEach(countLines);
    page.querySelectorAll("[data-pick-all]").forEach((label) => { label.hidden = false; });
    document.querySelectorAll("details[data-spread]").forEach(followSpread);
    tellPicked();
  }

  function picks() {
    return [...document.querySelectorAll('[form="picked"][name="order"]')];
  }

  function tellPicked() {
    const chosen = picks().filter((pick) => pick.checked).length;
    document.querySelectorAll("[data-picked]").forEach((told) => { told.textContent = `${chosen} ${told.dataset.picked}`; });
    document.querySelectorAll("[data-pick-all] input").forEach((all) => { all.checked = chosen === picks().length; });
  }

  // Folded up means not wanted: what was typed there is kept, but neither priced nor sent.
  function followSpread(details) {
    details.querySelectorAll("input").forEach((input) => { input.disabled = !details.open; });
  }

  function setBusy(form, busy) {
    form.setAttribute("aria-busy", String(busy));
    const outside = form.id ? document.querySelectorAll(`button[form="${CSS.escape(form.id)}"]`) : [];
    for (const button of [...form.querySelectorAll("button"), ...outside]) button.disabled = busy;
  }

  function setAway(away) {
    document.querySelectorAll("[data-away]").forEach((note) => { note.hidden = !away; });
  }

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-theme-switch] input")) choose(event.target.value);
    if (event.target.matches("[data-pick-all] input")) picks().forEach((pick) => { pick.checked = event.target.checked; });
    tellPicked();
  });

  // This event does not bubble.
  document.addEventListener("toggle", (event) => {
    if (!event.target.matches("details[data-spread]")) return;
    followSpread(event.target);
    htmx.trigger("#priced", "reprice");
  }, true);

  document.addEventListener("input", (event) => {
    if (event.target.matches("textarea[data-lines]")) countLines(event.target);
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    // After the browser has read the form: a disabled button's own name would be missing from it.
    if (form.matches("[data-once]")) setTimeout(() => setBusy(form, true));
  });

  window.addEventListener("pageshow", (event) => {
    if (event.persisted) document.querySelectorAll("form[data-once]").forEach((form) => setBusy(form, false));
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-picked]");
    if (!button) return;
    const chosen = picks().filter((pick) => pick.checked).map((pick) => pick.value).join(",");
    await navigator.clipboard.writeText(button.dataset.copy ? document.getElementById(button.dataset.copy).textContent : chosen);
    button.textContent = button.dataset.copied;
  });

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const field = document.querySelector("main [type=search]") || document.querySelector("[type=search]");
    if (field) { event.preventDefault(); field.focus(); field.select(); }
  });

  // A hidden tab asks nothing; as soon as it is seen again it asks at once.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.target.matches("[data-watch]")) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) document.querySelectorAll("[data-watch]").forEach((watch) => htmx.trigger(watch, "wake"));
  });

  // What has not changed is left alone: focus, selection and an open tooltip stay as they are.
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const news = event.detail.fragment.firstElementChild;
    if (!news) return;
    event.detail.target.querySelectorAll("details[id], [type=checkbox][id]").forEach((old) => {
      const part = news.querySelector(`#${CSS.escape(old.id)}`);
      if (part) Object.assign(part, old.matches("details") ? { open: old.open } : { checked: old.checked });
    });
    if (news.isEqualNode(event.detail.target)) event.detail.shouldSwap = false;
  });

  // Signed out meanwhile: a fragment's request was led to the sign-in page, so the page itself must go there.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, pathInfo } = event.detail;
    if (!xhr.responseURL || !pathInfo) return;
    if (new URL(xhr.responseURL).pathname !== new URL(pathInfo.requestPath, location.href).pathname) {
      event.preventDefault();
      location.reload();
    }
  });

  // Another service came while something was typed: what was kept in the fields has a new price.
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id !== "draft") return;
    const typed = [...document.querySelectorAll("#priced input, #priced textarea")].some((field) => field.value.trim());
    if (typed) htmx.trigger("#priced", "reprice");
  });

  document.addEventListener("htmx:sendError", () => setAway(true));
  document.addEventListener("htmx:responseError", () => setAway(true));
  document.addEventListener("htmx:afterOnLoad", () => setAway(false));
  document.addEventListener("htmx:afterSettle", (event) => prepare(event.target));
  prepare(document);
  // On a phone the row of tabs is wider than the screen.
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
})();
