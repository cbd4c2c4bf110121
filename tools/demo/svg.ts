const LINE_HEIGHT = 20;
const CHARACTER_WIDTH = 8.43;
const PADDING = 20;

const escape = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

/** Lines of text as a picture of a terminal. */
export function svg(lines: readonly string[]): string {
  const columns = Math.max(...lines.map((line) => line.length));
  const width = Math.ceil(columns * CHARACTER_WIDTH + 2 * PADDING);
  const height = lines.length * LINE_HEIGHT + 2 * PADDING;
  const rows = lines.map((line, i) => {
    const mark = line.startsWith('✔') ? '#7ee787' : line.startsWith('✖') ? '#ff7b72' : '#e6edf3';
    const y = PADDING + (i + 0.75) * LINE_HEIGHT;
    const rest = escape(line.slice(1));
    return `<text x="${PADDING}" y="${y}" xml:space="preserve"><tspan fill="${mark}">${escape(line.slice(0, 1))}</tspan>${rest}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="Result of npm run demo">`,
    `<rect width="100%" height="100%" rx="10" fill="#0d1117"/>`,
    `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14" fill="#e6edf3">`,
    ...rows,
    '</g>',
    '</svg>',
    '',
  ].join('\n');
}
