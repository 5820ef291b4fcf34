// The SVG paths of a drawn iris: radial fibres, and the wavy collarette around the pupil. Seeded, so that
// the drawing is always the same.

export const PUPIL = 29;
export const LIMBUS = 90;

export interface IrisPaths {
  /** From faint and wide to bright and fine. */
  fibres: string[];
  collarette: string;
}

export function drawIris(seed: number): IrisPaths {
  const random = mulberry32(seed);
  const layers: string[][] = [[], [], []];
  const COUNT = 210;
  for (let index = 0; index < COUNT; index += 1) {
    const angle = ((index + random() * 0.9) / COUNT) * Math.PI * 2;
    layers[index % layers.length]?.push(fibre(angle, random));
  }
  return { fibres: layers.map((paths) => paths.join('')), collarette: collarette(random) };
}

function fibre(angle: number, random: () => number): string {
  const from = PUPIL - 1 + random() * (random() < 0.35 ? 16 : 4);
  const to = LIMBUS - 2 - random() * (random() < 0.3 ? 26 : 5);
  const sway = (random() - 0.5) * 0.16;
  const bend = (random() - 0.5) * 0.2;
  const third = (to - from) / 3;
  const start = polar(from, angle);
  const first = polar(from + third, angle + sway);
  const second = polar(from + 2 * third, angle + sway - bend);
  const end = polar(to, angle + sway / 2);
  return `M${start}C${first} ${second} ${end}`;
}

function collarette(random: () => number): string {
  const POINTS = 44;
  const points = Array.from({ length: POINTS }, (_, index) =>
    polar(43 + (random() - 0.5) * 7, (index / POINTS) * Math.PI * 2),
  );
  return `M${points.join('L')}Z`;
}

function polar(radius: number, angle: number): string {
  return `${(radius * Math.cos(angle)).toFixed(1)} ${(radius * Math.sin(angle)).toFixed(1)}`;
}

/** The seeded random number generator mulberry32. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
