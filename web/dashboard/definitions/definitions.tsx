import type { JSX } from "preact";
import { useAnswer } from "../base/answer.js";
import { linkTo } from "../base/route.js";
import type { Definition } from "../base/types.js";
import { Name } from "../parts/name.js";
import { Head } from "../parts/panel.js";
import { Answered, Empty } from "../parts/state.js";
import { ADDED } from "./draft.js";
import { Editor } from "./editor.js";

/** The channel definitions, and the one that is edited. */
export function Definitions({ item }: { item: string }): JSX.Element {
  const answer = useAnswer<{ schemas: readonly Definition[] }>("v1/schemas");
  const open = answer.data?.schemas.find(({ name }) => name === item);
  return (
    <div class={item ? "master master-open" : "master"}>
      <div class="master-list">
        <Head title="Definitions">
          <a class="button push" href={linkTo("definitions", ADDED)}>
            Add a definition
          </a>
        </Head>
        <div class="panel">
          <Answered answer={answer}>{({ schemas }) => (schemas.length === 0 ? <None /> : <List schemas={schemas} item={item} />)}</Answered>
        </div>
      </div>
      {item === ADDED && <Editor key={ADDED} definition={null} onChanged={answer.reload} />}
      {open && <Editor key={item} definition={open} onChanged={answer.reload} />}
      {answer.data && item !== "" && item !== ADDED && !open && (
        <div class="panel master-detail">
          <Empty title={`There is no definition ${item}`} />
        </div>
      )}
    </div>
  );
}

function None(): JSX.Element {
  return (
    <Empty title="There are no definitions">
      A definition says which topics a channel has and what their messages look like. The server refuses messages that break it. Add one
      here, or push a file with <code>sluice schemas push</code>.
    </Empty>
  );
}

function List({ schemas, item }: { schemas: readonly Definition[]; item: string }): JSX.Element {
  return (
    <table class="table">
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Topics</th>
          <th scope="col">Others</th>
        </tr>
      </thead>
      <tbody>
        {schemas.map(({ name, topics = {}, strict }) => (
          <tr key={name}>
            <td class="name">
              <Name name={name} href={linkTo("definitions", name)} current={name === item} />
            </td>
            <td class="name">{Object.keys(topics).join(", ") || "–"}</td>
            <td>{strict ? "refused" : "allowed"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
