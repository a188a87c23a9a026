import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { explain } from "../base/api.js";

interface Props {
  readonly title: string;
  readonly children: ComponentChildren;
  /** What the button says that does it. */
  readonly action: string;
  /** Does it. When it throws, the dialog stays and says why. */
  readonly run: () => Promise<void>;
  readonly onClose: () => void;
}

/** Asks before something that cannot be undone. */
export function Confirm({ title, children, action, run, onClose }: Props): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const id = useId();

  useEffect(() => {
    const opener = document.activeElement;
    const shown = dialog.current;
    shown?.showModal();
    return () => {
      shown?.close();
      // Once the dialog is gone: a browser that closes it by itself may move the focus after this.
      requestAnimationFrame(() => opener instanceof HTMLElement && opener.isConnected && opener.focus());
    };
  }, []);

  async function confirm(): Promise<void> {
    setBusy(true);
    try {
      await run();
      onClose();
    } catch (failed) {
      setError(explain(failed));
      setBusy(false);
    }
  }

  return (
    <dialog
      ref={dialog}
      class="dialog"
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <h2 id={id}>{title}</h2>
      <div class="dialog-text">{children}</div>
      {error && (
        <p class="outcome lines" role="alert" data-ok="false">
          {error}
        </p>
      )}
      <div class="actions actions-end">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" class="danger" disabled={busy} onClick={() => void confirm()}>
          {action}
        </button>
      </div>
    </dialog>
  );
}
