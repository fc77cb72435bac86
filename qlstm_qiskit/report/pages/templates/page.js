"use strict";
(async () => {
  // What `packed` of write.py has made: base 85, of which five letters are four bytes, then gzip, then JSON.
  const unpacked = async (text) => {
    const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;.=>?@^_`{|}~";
    const values = new Uint8Array(128);
    [...letters].forEach((letter, value) => { values[letter.charCodeAt(0)] = value; });
    const missing = (5 - (text.length % 5)) % 5, bytes = new DataView(new ArrayBuffer(((text.length + missing) / 5) * 4));
    for (let place = 0, at = 0; place < text.length; place += 5, at += 4) {
      let number = 0;
      for (let k = place; k < place + 5; k++) number = number * 85 + (k < text.length ? values[text.charCodeAt(k)] : 84);
      bytes.setUint32(at, number);
    }
    const whole = new Blob([new Uint8Array(bytes.buffer, 0, bytes.byteLength - missing)]);
    return JSON.parse(await new Response(whole.stream().pipeThrough(new DecompressionStream("gzip"))).text());
  };
  if (!window.DecompressionStream) {
    document.querySelector("header").append("Figures and files need a browser from 2023 or later.");
    return;
  }
  const { plotly, figures, files } = await unpacked(document.getElementById("content").textContent);
  const library = document.createElement("script");
  library.textContent = plotly; // runs at once; the page's policy has its hash
  document.body.append(library);
  for (const link of document.querySelectorAll("a[download]")) {
    const [type, text] = files[link.download];
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.hidden = false;
  }
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const touch = window.matchMedia("(pointer: coarse)").matches;
  const numbered = ["blue", "orange", "green", "purple", "red", "teal", "brown", "olive", "navy", "magenta"];
  const schemes = {
    light: {
      black: "#1b1f24", gray: "#9aa3ad", blue: "#0b4f9e", orange: "#d9730d", green: "#2f8f4e", purple: "#6f3fa8",
      red: "#b3261e", teal: "#0f8a8a", brown: "#7a4a21", olive: "#8a8a12", navy: "#1c2f6b", magenta: "#c2408f",
      paper: "#ffffff", grid: "#e3e7eb",
    },
    dark: {
      black: "#e6e9ed", gray: "#6d7783", blue: "#6cb2ff", orange: "#ffad4d", green: "#7ddb94", purple: "#c3a0f5",
      red: "#ff8a80", teal: "#5fd3d3", brown: "#d3a67c", olive: "#d4d45e", navy: "#9fb2f2", magenta: "#f598cf",
      paper: "#14171c", grid: "#2d343d",
    },
  };

  // Named colours become those of the scheme, wherever they stand.
  const coloured = (value, colours, key) => {
    if (Array.isArray(value)) return value.map((item) => coloured(item, colours, key));
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, coloured(item, colours, name)]));
    }
    return key === "color" && Object.hasOwn(colours, value) ? colours[value] : value;
  };

  const draw = (name) => {
    const colours = schemes[dark.matches ? "dark" : "light"];
    const { data, layout } = coloured(figures[name], colours, "");
    const lines = { gridcolor: colours.grid, linecolor: colours.gray, zerolinecolor: colours.grid, tickcolor: colours.gray };
    const shown = document.getElementById(name).layout; // undefined until it is drawn
    for (const axis of ["xaxis", "yaxis"]) {
      layout[axis] = { ...layout[axis], ...lines, showline: true, ticks: "outside" };
      if (shown && shown[axis].autorange !== true) layout[axis].range = shown[axis].range; // stays where it was zoomed
    }
    const font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: colours.black };
    Object.assign(layout, {
      font, colorway: numbered.map((own) => colours[own]), paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: colours.paper, bordercolor: colours.gray, font, align: "left", namelength: -1 },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colours.gray, activecolor: colours.black },
      dragmode: touch ? false : "zoom", // a finger scrolls the page
    });
    return Plotly.react(name, data, layout, { responsive: true, displaylogo: false, displayModeBar: touch ? false : "hover" });
  };

  const drawAll = () => Promise.all(Object.keys(figures).map(draw));
  drawAll();
  dark.addEventListener("change", drawAll);
  for (const button of document.querySelectorAll("button[data-figure]")) {
    const range = [button.dataset.low, button.dataset.high].map((end) => (isNaN(end) ? end : Number(end))); // a date, or a row
    button.addEventListener("click", () => Plotly.relayout(button.dataset.figure, { "xaxis.range": range }));
  }
})();
