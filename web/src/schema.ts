import type { Fault } from "./error.js";
import { atMost } from "./timer.js";

/**
 * The common interface of validators, https://standardschema.dev, which Zod, Valibot, ArkType and
 * others implement. Only what is used here is declared.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => Result<Output> | Promise<Result<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export type Result<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly Issue[] };

/** One fault in a value, and its location. */
export interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What a schema accepts. */
export type InferInput<S> = S extends StandardSchema<infer Input, unknown> ? Input : never;

/** What a schema turns its input into. */
export type InferOutput<S> = S extends StandardSchema<unknown, infer Output> ? Output : never;

/**
 * Returns a schema for a type that is not checked at run time.
 *
 * @example staticSchema<{ token: string }>()
 */
export function staticSchema<T>(): StandardSchema<T> {
  return { "~standard": { version: 1, vendor: "sluice", validate: (value) => ({ value: value as T }) } };
}

/** The schema of a topic that carries texts. A message that was published as a whole breaks it. */
export interface TextSchema extends StandardSchema<never, string> {
  readonly "~standard": StandardSchema<never, string>["~standard"] & { readonly text: true };
}

export function textSchema(): TextSchema {
  return { "~standard": { version: 1, vendor: "sluice", text: true, validate: () => ({ issues: [{ message: "Not a streamed text" }] }) } };
}

/** Reports whether a schema is that of texts. */
export function isText(schema: StandardSchema): boolean {
  return "text" in schema["~standard"];
}

/** How long a validator may take. */
const CHECK_TIMEOUT_MS = 30_000;

/** Validates a value. If the validator throws or does not finish, that is an issue like any other. */
export function check<Output>(schema: StandardSchema<unknown, Output>, value: unknown): Result<Output> | Promise<Result<Output>> {
  const fault = (cause: unknown): Result<Output> => ({ issues: [{ message: String(cause) }] });
  try {
    const result = schema["~standard"].validate(value);
    return "then" in result ? atMost(CHECK_TIMEOUT_MS, result).catch(fault) : result;
  } catch (cause) {
    return fault(cause);
  }
}

/** Converts issues into the form that the server uses. */
export function faultsOf({ issues }: { readonly issues: readonly Issue[] }): Fault[] {
  return issues.map(({ message, path = [] }) => ({
    pointer: path
      .map(
        (part) =>
          "/" +
          String(typeof part === "object" ? part.key : part)
            .replace(/~/g, "~0")
            .replace(/\//g, "~1"),
      )
      .join(""),
    detail: message,
  }));
}
