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
    page.querySelectorAll("[data-copy]").forEach((button) => { button.hidden = !navigator.clipboard; });
    page.querySelectorAll("textarea[data-lines]").forEach(countLines);
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
  });

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
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
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
    if (news && news.isEqualNode(event.detail.target)) event.detail.shouldSwap = false;
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
    document.querySelectorAll("#quantity, #comments").forEach((field) => { if (field.value.trim()) htmx.trigger(field, "reprice"); });
  });

  document.addEventListener("htmx:sendError", () => setAway(true));
  document.addEventListener("htmx:responseError", () => setAway(true));
  document.addEventListener("htmx:afterOnLoad", () => setAway(false));
  document.addEventListener("htmx:afterSettle", (event) => prepare(event.target));
  prepare(document);
  // On a phone the row of tabs is wider than the screen.
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
})();
