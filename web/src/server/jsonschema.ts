import type { TopicDefinition } from "../channel.js";
import { SluiceError } from "../error.js";
import type { StandardSchema } from "../schema.js";

/** The version of JSON Schema that the server speaks. */
const TARGET = "draft-2020-12";

/** A JSON Schema; true accepts everything. */
export type JSONSchema = object | boolean;

/**
 * What a {@link JSONSchemaConverter} is asked for, in the words of Zod and of Valibot: the schema of
 * what a publisher sends.
 */
export interface ConverterOptions {
  readonly io: "input";
  readonly typeMode: "input";
  readonly target: typeof TARGET;
}

/** Writes a validator's schema as a JSON Schema: `z.toJSONSchema` of Zod, `toJsonSchema` of `@valibot/to-json-schema`. undefined: leave the topic without one. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each library takes its own schemas
export type JSONSchemaConverter = (schema: any, options: ConverterOptions) => JSONSchema | undefined;

/** The part of https://standardschema.dev/json-schema that is used: Zod from 4.2 on and ArkType from 2.1.28 on offer it. */
interface StandardJSONSchema {
  readonly input: (options: { readonly target: typeof TARGET }) => JSONSchema;
}

/**
 * Finds the JSON Schema of a topic: the one that its definition gives, or what the converter makes,
 * or what the validator itself does. undefined: there is none.
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
  if (vendor === "sluice") return undefined; // a type that nothing checks
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

/** Keywords whose values are data and not schemas. */
const DATA = ["const", "enum", "default", "examples"];

/**
 * Copies a schema without the patterns that the server's expressions (RE2) cannot say because they
 * look around, where a format stands beside them that says the same.
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
