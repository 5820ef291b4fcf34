// Keeps the texts for people in this folder: the markup and the code of the page contain none.

import { parse } from 'svelte/compiler';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { chooseLanguage } from '.';

const sources = import.meta.glob<string>(['../**/*.{svelte,ts}', '!../**/*.test.ts', '!../testing/*', '!./*'], {
  query: '?raw',
  import: 'default',
  eager: true,
});
const files = Object.entries(sources).filter(([path]) => !path.endsWith('.generated.ts'));

/** Attributes that people read or hear. */
const TEXT_ATTRIBUTES = new Set(['alt', 'title', 'placeholder', 'aria-label', 'aria-description', 'aria-valuetext']);

function hasLetters(text: string): boolean {
  return /\p{L}/u.test(text);
}

/** Begins like a sentence or a label, and is not a name of the platform or of an error class. */
function looksLikeText(text: string): boolean {
  return /^\s*\p{Lu}(\p{Ll}|\s\p{L})/u.test(text) && !/^(Bearer |Content-Type$|[A-Z]\w*Error$)/.test(text);
}

type Node = Record<string, unknown> & { type?: string };

/** All texts in the markup, and the strings in its scripts that look like texts. */
function textsInComponent(source: string): string[] {
  const { css: _, ...component } = parse(source, { modern: true });
  const found: string[] = [];
  visit(component as unknown as Node, looksLikeText);
  return found;

  function visit(node: Node, isText: (text: string) => boolean): void {
    if (node.type === 'Text' && isText(String(node['data']))) found.push(String(node['data']));
    if (node.type === 'Literal' && typeof node['value'] === 'string' && isText(node['value'])) found.push(node['value']);
    if (node.type === 'TemplateElement') {
      const { raw } = node['value'] as { raw: string };
      if (isText(raw)) found.push(raw);
    }
    for (const [key, value] of Object.entries(node)) {
      for (const child of Array.isArray(value) ? value : [value]) {
        if (typeof child === 'object' && child !== null) visit(child as Node, testFor(node, key, isText));
      }
    }
  }

  /** In the content of elements and in text attributes every letter counts, but not in what is compared. */
  function testFor(parent: Node, key: string, inherited: (text: string) => boolean): (text: string) => boolean {
    if (parent.type === 'Fragment') return hasLetters;
    if (parent.type === 'BinaryExpression' || key === 'attributes') return looksLikeText;
    if (parent.type === 'CallExpression' || parent.type === 'MemberExpression') return looksLikeText;
    if (parent.type === 'Attribute') return TEXT_ATTRIBUTES.has(String(parent['name'])) ? hasLetters : looksLikeText;
    if (key === 'expression' && parent.type !== 'ExpressionTag') return looksLikeText;
    if (key === 'test' || key === 'key' || key === 'context') return looksLikeText;
    return inherited;
  }
}

function textsInModule(source: string): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const isString = ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node);
    if (isString && looksLikeText(node.text)) found.push(node.text);
    if (!ts.isLiteralTypeNode(node)) ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('module.ts', source, ts.ScriptTarget.Latest));
  return found;
}

test('markup and code contain no texts for people', () => {
  const found = files.map(([path, source]) => {
    return [path, path.endsWith('.svelte') ? textsInComponent(source) : textsInModule(source)] as const;
  });
  expect(found.filter(([, strings]) => strings.length > 0)).toEqual([]);
});

test.each([
  ['<p>words</p>', ['words']],
  ['{#if open}<p>{busy ? "wait" : "go"}</p>{/if}', ['wait', 'go']],
  ['<img alt="an eye">', ['an eye']],
  ['<img alt={open ? "an eye" : ""}>', ['an eye']],
  ['<Dialog heading="Your data" kind="button primary" />', ['Your data']],
  ['<script>const label = "Stopped";</script>', ['Stopped']],
  ['<p class="soft">{status === "cancelled" ? "–" : "!"}{texts.job.deleting}</p>', []],
])('the check finds the texts in %s', (source, found) => {
  expect(textsInComponent(source)).toEqual(found);
});

test('the check finds the texts in a module', () => {
  const source = 'const kind = "Content-Type"; throw new Error(`This took ${seconds} s.`, "Try again.");';
  expect(textsInModule(source)).toEqual(['This took ', 'Try again.']);
});

test.each([
  [['de-CH', 'en-GB'], ['en'], 'en'],
  [['de-CH', 'en-GB'], ['en', 'de'], 'de'],
  [['fr'], ['en', 'de'], 'en'],
  [[], ['en'], 'en'],
])('of %j with texts in %j the language is %s', (preferred, available, language) => {
  expect(chooseLanguage(preferred, available)).toBe(language);
});
