import { startPost } from "./actions";
import { startChat } from "./chat/actions";

export default function Home() {
  return (
    <main>
      <h1>Live pages from server functions</h1>
      <form className="card" action={startPost}>
        <h2>A run</h2>
        <p>A function writes a post. It publishes what it does, and its page shows each step and every word.</p>
        <button className="primary">Write a post</button>
      </form>
      <form className="card" action={startChat}>
        <h2>A chat</h2>
        <p>The answer comes through Sluice. Reload the page in the middle, open a second tab, or stop it from there.</p>
        <button className="primary">Start a chat</button>
      </form>
    </main>
  );
}
