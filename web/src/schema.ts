import type { Fault } from "./error.js";

/**
 * The interface by which validators offer themselves, https://standardschema.dev: Zod, Valibot,
 * ArkType and others implement it. Only what is used here is declared.
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

/** One thing that is wrong with a value, and where. */
export interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What a schema accepts. */
export type InferInput<S> = S extends StandardSchema<infer Input, unknown> ? Input : never;

/** What a schema makes of what it accepts. */
export type InferOutput<S> = S extends StandardSchema<unknown, infer Output> ? Output : never;

/**
 * A schema for a type that nothing checks at run time.
 *
 * @example staticSchema<{ token: string }>()
 */
export function staticSchema<T>(): StandardSchema<T> {
  return { "~standard": { version: 1, vendor: "sluice", validate: (value) => ({ value: value as T }) } };
}

/** Checks a value. What a validator throws is an issue like any other. */
export function check<Output>(schema: StandardSchema<unknown, Output>, value: unknown): Result<Output> | Promise<Result<Output>> {
  const fault = (cause: unknown): Result<Output> => ({ issues: [{ message: String(cause) }] });
  try {
    const result = schema["~standard"].validate(value);
    return result instanceof Promise ? result.catch(fault) : result;
  } catch (cause) {
    return fault(cause);
  }
}

/** Tells what is wrong, as the server would. */
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
