// The frames of src/frames.ts are those of docs/events.schema.json, which the server generates from its own types.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import ts from 'typescript';

const SCHEMA = '../../docs/events.schema.json';

interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  oneOf?: Schema[];
  allOf?: Schema[];
  properties?: Record<string, Schema & { enum?: string[] }>;
  required?: string[];
}

/** Field names, and whether each is always there. */
type Fields = Map<string, boolean>;

const root: Schema = existsSync(SCHEMA) ? (JSON.parse(readFileSync(SCHEMA, 'utf8')) as Schema) : {};

function definition(name: string): Schema {
  return root.$defs?.[name] ?? assert.fail(`no definition ${name}`);
}

/** Follows references, and merges the parts of a schema. */
function flatten(schema: Schema): Required<Pick<Schema, 'properties' | 'required'>> {
  if (schema.$ref) return flatten(definition(schema.$ref.replace('#/$defs/', '')));
  const parts = (schema.allOf ?? []).map(flatten);
  return {
    properties: Object.assign({}, ...parts.map(({ properties }) => properties), schema.properties),
    required: [...parts.flatMap(({ required }) => required), ...(schema.required ?? [])],
  };
}

function fieldsOf(schema: Schema): Fields {
  const { properties, required } = flatten(schema);
  return new Map(Object.keys(properties).map((name) => [name, required.includes(name)]));
}

/** The frames of a tagged enum, by their type. */
function framesOf(name: string): Map<string, Fields> {
  const variants = definition(name).oneOf ?? [];
  return new Map(
    variants
      .map((variant) => [flatten(variant).properties['type']?.enum?.[0] ?? '', fieldsOf(variant)] as const)
      // Types of later versions.
      .filter(([type]) => type !== 'unknown'),
  );
}

const program = ts.createProgram(['src/frames.ts'], {
  strict: true,
  exactOptionalPropertyTypes: true,
  allowImportingTsExtensions: true,
  noEmit: true,
  target: ts.ScriptTarget.ES2022,
});
const checker = program.getTypeChecker();
const source = program.getSourceFile('src/frames.ts');
const exported = new Map(
  checker.getExportsOfModule(checker.getSymbolAtLocation(source as ts.Node) as ts.Symbol).map((it) => [it.name, it]),
);

function typeNamed(name: string): ts.Type {
  return checker.getDeclaredTypeOfSymbol(exported.get(name) ?? assert.fail(`no type ${name}`));
}

function declaredFields(type: ts.Type): Fields {
  const properties = checker.getPropertiesOfType(type);
  return new Map(properties.map(({ name, flags }) => [name, (flags & ts.SymbolFlags.Optional) === 0]));
}

/** The members of a union of frames, by their type. */
function declaredFrames(name: string): Map<string, Fields> {
  const union = typeNamed(name) as ts.UnionType;
  return new Map(
    union.types.map((type) => {
      const tag = checker.getTypeOfSymbol(type.getProperty('type') as ts.Symbol) as ts.StringLiteralType;
      return [tag.value, declaredFields(type)];
    }),
  );
}

function assertSame(what: string, declared: Fields, published: Fields): void {
  assert.deepEqual([...declared.keys()].sort(), [...published.keys()].sort(), what);
  for (const [name, required] of published) {
    if (required) assert.ok(declared.get(name), `${what}.${name} is always there`);
  }
}

describe('docs/events.schema.json', { skip: !existsSync(SCHEMA) && 'there is no such file yet' }, () => {
  const sides = [
    ['ServerFrame', ['ChainFrame', 'ServerFrame']],
    ['ClientFrame', ['ClientFrame']],
  ] as const;
  for (const [name, definitions] of sides) {
    test(`each ${name} has the published fields`, () => {
      const published = new Map(definitions.flatMap((it) => [...framesOf(it)]));
      const declared = declaredFrames(name);
      assert.deepEqual([...declared.keys()].sort(), [...published.keys()].sort());
      for (const [type, fields] of published) assertSame(type, declared.get(type) as Fields, fields);
    });
  }

  test('events and filters have the published fields', () => {
    assertSame('event', declaredFields(typeNamed('JobEvent')), fieldsOf(definition('EventObject')));
    assertSame('filter', declaredFields(typeNamed('Filter')), fieldsOf(definition('FilterBody')));
  });
});
