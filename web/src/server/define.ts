import type { AnyChannel } from "../channel.js";
import type { CallOptions, Caller } from "./caller.js";
import { jsonOf } from "./item.js";
import { jsonSchemaOf, type JSONSchema, type JSONSchemaConverter } from "./jsonschema.js";

/** What the server keeps of a channel for those who come later. What is left out is as the server is configured. */
export interface ReplayLimits {
  readonly messages?: number;
  /** A number, or a text such as `64KiB` or `1MiB`. */
  readonly bytes?: number | string;
  /** `90s`, `10m`, `1h30m`. */
  readonly age?: string;
}

export interface DefineOptions extends CallOptions {
  /** The template to define, if it is not that of the channel. */
  readonly name?: string;
  /** Refuse messages of topics that are not defined. Default: false. */
  readonly strict?: boolean;
  readonly replay?: ReplayLimits;
  /** For validators that cannot write a JSON Schema by themselves. It is used for all topics but those of `staticSchema`. */
  readonly toJSONSchema?: JSONSchemaConverter;
}

/** A definition as the server holds it. */
export interface Definition {
  readonly name: string;
  readonly topics?: Readonly<Record<string, { readonly schema?: JSONSchema } | null>>;
  readonly replay?: ReplayLimits;
  readonly strict?: boolean;
}

/** Adds or replaces a definition, as a whole. */
export async function define(caller: Caller, channel: AnyChannel, options: DefineOptions): Promise<Definition> {
  const { name = channel.$template, strict, replay, toJSONSchema, signal } = options;
  const topics = Object.fromEntries(
    Object.entries(channel.$topics).map(([topic, definition]) => [topic, { schema: jsonSchemaOf(topic, definition, toJSONSchema) }]),
  );
  return caller.call({
    ...{ method: "PUT", path: `/v1/schemas/${encodeURIComponent(name)}`, once: true, signal },
    body: jsonOf({ topics, strict, replay }),
  });
}
