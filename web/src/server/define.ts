import { topicsOf, type AnyChannel, type InngestChannel, type MergeRule } from "../channel.js";
import type { CallOptions, Caller } from "./caller.js";
import { jsonOf } from "./item.js";
import { jsonSchemaOf, type JSONSchema, type JSONSchemaConverter } from "./jsonschema.js";

/** How much of a channel the server keeps for replay. The server's configuration supplies what is left out. */
export interface ReplayLimits {
  readonly messages?: number;
  /** A number of bytes, or a size such as `64KiB` or `1MiB`. */
  readonly bytes?: number | string;
  /** `90s`, `10m`, `1h30m`. */
  readonly age?: string;
}

export interface DefineOptions extends CallOptions {
  /** The template to define. Default: the channel's. */
  readonly name?: string;
  /** Refuse messages of topics that are not defined. Default: false. */
  readonly strict?: boolean;
  readonly replay?: ReplayLimits;
  /** For validators that cannot produce a JSON Schema. It is used for all topics except those of `staticSchema`. */
  readonly toJSONSchema?: JSONSchemaConverter;
}

/** A definition as the server stores it. */
export interface Definition {
  readonly name: string;
  readonly topics?: Readonly<Record<string, { readonly schema?: JSONSchema; readonly merge?: MergeRule } | null>>;
  readonly replay?: ReplayLimits;
  readonly strict?: boolean;
}

/** Adds a definition, or replaces it completely. */
export async function define(caller: Caller, channel: AnyChannel | InngestChannel, options: DefineOptions): Promise<Definition> {
  const { name = "$template" in channel ? channel.$template : channel.name, strict, replay, toJSONSchema, signal } = options;
  const topics = Object.fromEntries(
    Object.entries(topicsOf(channel)!).map(([topic, definition]) => [
      topic,
      { schema: jsonSchemaOf(topic, definition, toJSONSchema), merge: definition.merge },
    ]),
  );
  return caller.call({
    ...{ method: "PUT", path: "/v1/schemas/$", query: [["name", name]], once: true, signal },
    body: jsonOf({ topics, strict, replay }),
  });
}
