"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const panel = by("panel"), content = by("content"), table = by("rows");
  const unpacked = new Map();

  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };
  const chunk = (number) => {
    if (!unpacked.has(number)) unpacked.set(number, unpack(by("chunk" + number).textContent));
    return unpacked.get(number);
  };

  const show = async (number, part) => {
    try {
      // What is packed was escaped when the page was made.
      content.innerHTML = (await chunk(number))[part];
    } catch (error) {
      content.textContent = "This browser cannot unpack the details: " + error.message;
    }
    if (!panel.open) panel.showModal();
    panel.scrollTop = 0;
    const heading = content.querySelector("h2");
    if (heading) heading.focus();
  };

  const linkOf = (button) => {
    const row = button.closest("tr").dataset.row;
    return "#cell=" + encodeURIComponent(row) + "&nodes=" + button.dataset.nodes;
  };
  const forget = () => history.replaceState(null, "", location.pathname + location.search);
  const go = (hash) => { history.replaceState(null, "", hash); return follow(); };

  const follow = async () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (asked.has("service")) {
      const wanted = asked.get("service");
      const row = [...document.querySelectorAll("[data-service]")].find((each) => each.dataset.service === wanted);
      if (row) await show(row.dataset.chunk, row.dataset.part);
    } else if (asked.has("cell")) {
      await loadRows();
      const wanted = asked.get("cell");
      const row = [...table.tBodies[0].rows].find((each) => each.dataset.row === wanted);
      const cells = row ? [...row.querySelectorAll("button")] : [];
      const cell = cells.find((each) => each.dataset.nodes === asked.get("nodes")) || cells[0];
      if (cell) await show(cell.dataset.chunk, cell.dataset.part);
    }
  };

  let loading = null;
  const loadRows = () => {
    if (!loading) {
      loading = (async () => {
        for (const script of document.querySelectorAll("script.rows")) {
          for (const text of Object.values(await unpack(script.textContent))) {
            table.tBodies[0].insertAdjacentHTML("beforeend", text);
          }
        }
        const more = by("more");
        if (more) more.remove();
      })();
    }
    return loading;
  };

  const has = (bits, node) => {
    const digit = parseInt(bits[bits.length - 1 - (node >> 2)] || "0", 16);
    return (digit >> (node & 3)) & 1;
  };
  const filter = async () => {
    const text = by("f-text").value.trim().toLowerCase(), namespace = by("f-namespace").value;
    const node = by("f-node").value, verdict = by("f-verdict").value;
    if (text || namespace || node || verdict) await loadRows();
    let count = 0;
    for (const row of table.tBodies[0].rows) {
      let fits = (!namespace || row.dataset.namespace === namespace) &&
        (!text || row.dataset.row.toLowerCase().includes(text) || row.textContent.toLowerCase().includes(text));
      let some = false;
      for (const cell of row.querySelectorAll("button")) {
        const on = (node === "" || has(cell.dataset.nodes, Number(node)));
        cell.classList.toggle("other", !on);
        some = some || (on && (!verdict || cell.dataset.verdict === verdict));
      }
      fits = fits && some;
      row.hidden = !fits;
      if (fits) count += 1;
    }
    const services = by("service-rows");
    if (services) {
      for (const row of services.tBodies[0].rows) {
        row.hidden = Boolean((namespace && row.dataset.namespace !== namespace) ||
          (text && !row.dataset.service.toLowerCase().includes(text)));
      }
    }
    by("shown").textContent = count + (count === 1 ? " row" : " rows");
  };

  let waiting = 0;
  by("filter").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 80); });
  by("filter").addEventListener("submit", (event) => event.preventDefault());
  table.addEventListener("click", (event) => {
    const button = event.target.closest("button.cell");
    if (button) go(linkOf(button));
  });
  const load = by("load");
  if (load) load.addEventListener("click", loadRows);
  by("close").addEventListener("click", () => panel.close());
  panel.addEventListener("close", forget);
  addEventListener("hashchange", follow);
  addEventListener("beforeprint", () => { for (const each of document.querySelectorAll("details")) each.open = true; });
  follow();
})();
