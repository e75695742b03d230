/** The style sheet of report pages. Colours are told apart by lightness too, for readers who cannot by hue. */
export const STYLE = `
:root {
  --paper: #fbfaf8; --card: #ffffff; --ink: #1d2129; --soft: #646b78; --line: #e4e2dd; --grid: #ecebe7;
  --training: #2f6fde; --validation: #d0680c; --rate: #0f8a72; --norm: #8b5bc7; --speed: #2f6fde;
  --level: #8a8f99; --mark: #fdf0d8; --good: #14804a; --warn: #a8480d;
  --mono: ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14161a; --card: #1b1e24; --ink: #e7e8eb; --soft: #9aa1ad; --line: #2d3139; --grid: #272b32;
    --training: #6ea3ff; --validation: #f5a54a; --rate: #4fcfb2; --norm: #bd96f0; --speed: #6ea3ff;
    --level: #7f8794; --mark: #3d3420; --good: #5fd39a; --warn: #f0a070;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
main { max-width: 66rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
header { margin-bottom: 1.75rem; }
.eyebrow { color: var(--soft); font-size: .8rem; letter-spacing: .08em; text-transform: uppercase; }
h1 { font-size: clamp(1.4rem, 4.5vw, 2.1rem); line-height: 1.2; margin: .3rem 0 .5rem; letter-spacing: -.015em; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .8rem; }
p { margin: .4rem 0; }
.soft { color: var(--soft); overflow-wrap: anywhere; }
.good { color: var(--good); } .warn { color: var(--warn); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; margin: 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; }
.tile dt { color: var(--soft); font-size: .8rem; }
.tile dd { margin: 0; }
.tile .value { font-size: 1.45rem; font-weight: 600; line-height: 1.25; white-space: nowrap; }
.tile .value small { font-size: .8rem; font-weight: 400; color: var(--soft); }
.tile .note { color: var(--soft); font-size: .8rem; line-height: 1.35; }
.card, .chart { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem 1.1rem; margin: 0 0 .75rem; }
.scroll { overflow-x: auto; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 0 2rem; }
.multiples { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); gap: .75rem; margin-top: .75rem; }
.multiples .chart { margin: 0; }
.chart figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .2rem 1.2rem; font-size: .9rem; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; color: var(--soft); font-size: .8rem; align-items: center; }
.key::before { content: ""; display: inline-block; width: 1.1rem; height: .18rem; margin-right: .4rem; vertical-align: middle; border-radius: 1px; background: var(--of); }
.key.points::before { width: .55rem; height: .55rem; border-radius: 50%; }
.training { --of: var(--training); } .validation { --of: var(--validation); } .rate { --of: var(--rate); }
.norm { --of: var(--norm); } .speed { --of: var(--speed); }
.units { display: flex; justify-content: space-between; color: var(--soft); font-size: .72rem; margin: .5rem 0 .45rem; }
.plot { position: relative; margin: 0 .6rem 1.5rem 2.9rem; }
.plot.two-axes { margin-right: 2.6rem; }
.plot svg { display: block; width: 100%; height: 100%; overflow: visible; }
.plot path { fill: none; stroke: var(--of); stroke-width: 2; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.plot path.faint { stroke-width: 1; opacity: .28; }
.plot path.points { stroke-width: 7; stroke-linecap: round; }
.plot path.grid { stroke: var(--grid); stroke-width: 1; }
.plot path.level-line { stroke: var(--level); stroke-width: 1.2; stroke-dasharray: 5 4; }
.tick { position: absolute; color: var(--soft); font-size: .72rem; line-height: 1; white-space: nowrap; }
.tick.left { right: calc(100% + .45rem); transform: translateY(-50%); }
.tick.right { left: calc(100% + .45rem); transform: translateY(-50%); }
.tick.below { top: calc(100% + .5rem); transform: translateX(-50%); }
.level-label { position: absolute; right: .3rem; max-width: 60%; transform: translateY(-100%); color: var(--soft); font-size: .72rem; line-height: 16px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; text-shadow: 0 0 3px var(--card), 0 0 3px var(--card), 0 0 3px var(--card); }
.x-label { color: var(--soft); font-size: .72rem; text-align: center; margin-top: -.1rem; }
.empty { color: var(--soft); font-size: .85rem; }
.cursor { position: absolute; top: 0; bottom: 0; width: 1px; background: var(--level); pointer-events: none; }
.tip { position: absolute; top: .3rem; z-index: 1; padding: .35rem .6rem; border: 1px solid var(--line); border-radius: .4rem; background: var(--card); font-size: .75rem; line-height: 1.45; white-space: pre; pointer-events: none; box-shadow: 0 2px 8px #0002; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem 0; border-bottom: 1px solid var(--grid); overflow-wrap: anywhere; }
tr:last-child > * { border-bottom: 0; }
th { font-weight: 400; color: var(--soft); padding-right: 1.2rem; }
.facts th { width: 45%; }
.costs td { white-space: nowrap; padding-left: 1rem; }
.list th, .list td { padding-right: 1.2rem; }
.matrix { width: auto; margin-top: .6rem; }
.matrix th, .matrix td { border: 1px solid var(--card); padding: .2rem .3rem; vertical-align: middle; white-space: nowrap; }
.matrix thead th { vertical-align: bottom; padding: 0 0 .3rem; }
.matrix thead span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 15rem; overflow: hidden; text-overflow: ellipsis; }
.matrix tbody th { position: sticky; left: 0; background: var(--card); text-align: right; padding-right: .6rem; max-width: min(45vw, 14rem); overflow: hidden; text-overflow: ellipsis; }
.matrix td { min-width: 2rem; height: 2rem; text-align: center; background: var(--paper); }
.mistakes { table-layout: fixed; margin-top: .6rem; }
.mistakes th { width: 29%; } .mistakes th:first-child { width: 13%; }
.mistakes td { padding: .4rem 1.2rem .4rem 0; white-space: pre-wrap; }
h3 { font-size: .95rem; margin: 0 0 .5rem; }
pre { font: .84rem/1.55 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; unicode-bidi: plaintext; }
.sample + .sample { border-top: 1px solid var(--grid); margin-top: .9rem; padding-top: .9rem; }
.sample .soft { font-size: .8rem; margin: 0 0 .3rem; }
mark { background: var(--mark); color: inherit; border-radius: .2rem; padding: 0 .1em; }
ul.notices { margin: 0; padding-left: 1.1rem; font-size: .9rem; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--soft); font-size: .88rem; }
details > summary + * { margin-top: .9rem; }
footer { margin-top: 3rem; color: var(--soft); font-size: .8rem; }
@media (max-width: 32rem) {
  main { padding: 1.5rem .8rem 3rem; }
  .card, .chart { padding: .8rem; }
  .tiles { grid-template-columns: 1fr 1fr; gap: .5rem; }
  .tile { padding: .65rem .75rem; } .tile .value { font-size: 1.2rem; }
}
@media (max-width: 40rem) {
  .mistakes thead { display: none; }
  .mistakes tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--grid); }
  .mistakes tr:last-child { border-bottom: 0; }
  .mistakes td { display: grid; grid-template-columns: 3.6rem 1fr; padding: .1rem 0; border: 0; }
  .mistakes td::before { content: attr(data-label); color: var(--soft); }
}
@media print { body { background: none; } .card, .chart, .tile { break-inside: avoid; } }
`;
