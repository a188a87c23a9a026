// What the API answers with, as far as the dashboard shows it; see openapi.yaml.

export interface RunInfo {
  readonly status: string;
  readonly run_id?: string;
  readonly result?: unknown;
  readonly error?: unknown;
  readonly updated_at: string;
}

export interface ChannelInfo {
  readonly channel: string;
  readonly subscribers: number;
  readonly messages: number;
  readonly bytes: number;
  readonly first_id: string | null;
  readonly last_id: string | null;
  readonly run: RunInfo | null;
}

export interface Subscriber {
  readonly id: number;
  readonly sub?: string;
  readonly jti?: string;
  readonly key?: string;
  readonly address: string;
  readonly channels: readonly string[];
  readonly topics: readonly string[];
  readonly connected_at: string;
  readonly format: string;
}

export interface SubscriberList {
  readonly subscribers: readonly Subscriber[];
}

/** Who is on a channel; see Presence in openapi.yaml. */
export interface PresenceList {
  /** Subjects, and streams without one. */
  readonly count: number;
  readonly subjects: readonly { readonly sub: string; readonly streams: number; readonly since: string }[];
  readonly more: boolean;
}

export interface Grant {
  readonly channel: string;
  readonly topics: readonly string[];
}

export interface Token {
  readonly token: string;
  readonly jti: string;
  readonly expires_at: string;
  readonly subscribe_url: string;
}

export interface Webhook {
  readonly url: string;
  readonly events: readonly string[];
  readonly channels: readonly string[];
  readonly pending: number;
  readonly delivered: number;
  readonly given_up: number;
  readonly last_attempt: string | null;
  readonly last_status: number;
  readonly last_error: string;
  readonly next_attempt: string | null;
}

export interface WebhookList {
  readonly webhooks: readonly Webhook[];
  readonly sending?: boolean;
}

/** A channel definition: its name, and a document. */
export interface Definition {
  readonly name: string;
  readonly topics?: Readonly<Record<string, unknown>>;
  readonly strict?: boolean;
}
