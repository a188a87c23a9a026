import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";

interface Props {
  readonly label: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly hint?: ComponentChildren;
  readonly placeholder?: string;
  readonly type?: "text" | "password" | "search";
  readonly required?: boolean;
  readonly optional?: boolean;
  readonly name?: string;
}

/** A field of a form, with its label and a hint. Nothing corrects what is typed: it is names and keys. */
export function Field({
  label,
  value,
  onInput,
  hint,
  placeholder,
  type = "text",
  required = false,
  optional = false,
  name,
}: Props): JSX.Element {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>
        {label} {optional && <span class="optional">optional</span>}
      </label>
      <input
        id={id}
        name={name}
        {...({ type } as { type: "text" })} // the types want each one for itself
        value={value}
        required={required}
        placeholder={placeholder}
        autocomplete="off"
        autocapitalize="none"
        spellcheck={false}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onInput={({ currentTarget }) => onInput(currentTarget.value)}
      />
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}
