import type { TopicDefinition } from "../channel.js";
import { SluiceError } from "../error.js";
import type { StandardSchema } from "../schema.js";

/** The version of JSON Schema that the server uses. */
const TARGET = "draft-2020-12";

/** A JSON Schema; true accepts everything. */
export type JSONSchema = object | boolean;

/**
 * What a {@link JSONSchemaConverter} is asked for, in the terms of Zod and of Valibot: the schema of
 * the input, which is what a publisher sends.
 */
export interface ConverterOptions {
  readonly io: "input";
  readonly typeMode: "input";
  readonly target: typeof TARGET;
}

/** Converts a validator's schema to JSON Schema: `z.toJSONSchema` of Zod, `toJsonSchema` of `@valibot/to-json-schema`. undefined: leave the topic without one. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each library takes its own schemas
export type JSONSchemaConverter = (schema: any, options: ConverterOptions) => JSONSchema | undefined;

/** The part of https://standardschema.dev/json-schema that is used: Zod from 4.2 and ArkType from 2.1.28 implement it. */
interface StandardJSONSchema {
  readonly input: (options: { readonly target: typeof TARGET }) => JSONSchema;
}

/**
 * Finds the JSON Schema of a topic: from its definition, from the converter, or from the validator
 * itself. undefined: there is none.
 *
 * @throws SluiceError `bad-schema` if the validator cannot express its schema
 */
export function jsonSchemaOf(
  topic: string,
  { schema, jsonSchema }: TopicDefinition,
  convert: JSONSchemaConverter | undefined,
): JSONSchema | undefined {
  if (jsonSchema) return jsonSchema;
  const { vendor, jsonSchema: own } = schema["~standard"] as StandardSchema["~standard"] & { readonly jsonSchema?: StandardJSONSchema };
  if (vendor === "sluice" || vendor === "inngest") return undefined; // a type that nothing checks
  try {
    const made = convert ? convert(schema, { io: "input", typeMode: "input", target: TARGET }) : own?.input({ target: TARGET });
    return made && portable(made);
  } catch (cause) {
    throw new SluiceError(
      "bad-schema",
      `The schema of ${topic} cannot be written as a JSON Schema; give its jsonSchema instead: ${String(cause)}`,
      {
        cause,
      },
    );
  }
}

/** Keywords whose values are data, not schemas. */
const DATA = ["const", "enum", "default", "examples"];

/**
 * Copies a schema without patterns that use lookaround, which the server (RE2) does not support, if a
 * format beside them says the same.
 */
function portable<T>(node: T): T {
  if (typeof node !== "object" || node === null) return node;
  if (Array.isArray(node)) return node.map(portable) as T;
  const { pattern, format } = node as { pattern?: unknown; format?: unknown };
  const left = typeof pattern === "string" && typeof format === "string" && /\(\?<?[=!]/.test(pattern) ? "pattern" : undefined;
  return Object.fromEntries(
    Object.entries(node)
      .filter(([key]) => key !== left)
      .map(([key, value]) => [key, DATA.includes(key) ? value : portable(value)]),
  ) as T;
}
