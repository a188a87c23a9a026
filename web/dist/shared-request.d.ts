/** A credential, or where to get one: it is asked for before each connection. */
type Token = string | (() => TokenAnswer | Promise<TokenAnswer>);
/** The token itself, or the server's whole answer to `POST /v1/tokens`. */
type TokenAnswer = string | {
  readonly token: string;
};
type Fetch = typeof globalThis.fetch;
export { Token as n, TokenAnswer as r, Fetch as t };