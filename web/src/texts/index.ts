// The texts of the page in the language that the browser prefers, English otherwise.

import { en } from './en';

/** The keys and parameters that every language has. */
export type Texts = typeof en;

const LANGUAGES: Record<string, Texts> = { en };

/** The first preferred language that there are texts for; `de-CH` finds `de`. */
export function chooseLanguage(preferred: readonly string[], available: readonly string[]): string {
  const primary = preferred.map((tag) => tag.toLowerCase().split('-')[0]);
  return primary.find((language) => language !== undefined && available.includes(language)) ?? 'en';
}

/** As in `<html lang>`. */
export const language = chooseLanguage(navigator.languages, Object.keys(LANGUAGES));

export const texts: Texts = LANGUAGES[language] ?? en;
