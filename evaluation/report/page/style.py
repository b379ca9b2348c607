"""How the report looks, on a screen and on A4."""

STYLE = """
@page { size: A4; margin: 14mm }
* { box-sizing: border-box }
body { font: 14px/1.5 system-ui, "Segoe UI", "Hiragino Sans", "Yu Gothic", "Noto Sans CJK JP",
  sans-serif; color: #1f2328; background: #fff; max-width: 900px; margin: 0 auto; padding: 24px }
h1, h2, h3, p, li { overflow-wrap: anywhere }
h1 { font-size: 26px; margin: 0 }
h2 { font-size: 20px; margin: 32px 0 8px; border-bottom: 1px solid #d0d7de; padding-bottom: 4px;
  break-after: avoid }
h3 { font-size: 15px; margin: 20px 0 6px; break-after: avoid }
p { margin: 6px 0 }
ul { margin: 6px 0; padding-left: 22px }
.answer, .warned, table { break-inside: avoid }
.answer { font-size: 17px; padding: 12px 16px; border-left: 6px solid #57606a; background: #f6f8fa }
.answer.gain { border-color: #1a7f37; background: #edf8f0 }
.answer.loss { border-color: #b42318; background: #fdf0ee }
.warned { border: 1px solid #d4a72c; background: #fff8c5; padding: 8px 14px; margin: 10px 0 }
.warned ul { margin: 4px 0; padding-left: 20px }
table { border-collapse: collapse; width: 100%; font-size: 12.5px; margin: 4px 0;
  font-variant-numeric: tabular-nums }
tr { break-inside: avoid }
th, td { text-align: right; padding: 4px 7px; border-bottom: 1px solid #eaeef2;
  vertical-align: middle }
th { font-weight: 600 }
th:first-child { text-align: left; overflow-wrap: break-word; min-width: 90px }
thead th { color: #57606a; overflow-wrap: break-word; vertical-align: bottom;
  max-width: 120px }
svg { display: block; width: 124px; height: 14px; margin: 0 auto }
.settings td { text-align: left; overflow-wrap: anywhere }
.settings th { width: 130px; vertical-align: top }
.pairs { display: grid; grid-template-columns: 1fr 1fr; gap: 12px 18px }
figure { margin: 0; display: grid; grid-template-columns: 1fr 1fr; gap: 6px; break-inside: avoid;
  align-content: start }
figure img { width: 100%; display: block; image-rendering: auto }
figure div { min-width: 0; text-align: center; overflow-wrap: anywhere }
figcaption { grid-column: 1 / 3; font-size: 12.5px; line-height: 1.35; overflow-wrap: anywhere }
small { color: #57606a }
@media print {
  body { padding: 0; max-width: none; -webkit-print-color-adjust: exact; print-color-adjust: exact }
  table { font-size: 11px }
  svg { width: 100px }
  th, td { padding: 3px 5px }
}
@media screen and (max-width: 640px) {
  body { padding: 12px }
  section { overflow-x: auto }
  .pairs { grid-template-columns: 1fr }
}
"""
