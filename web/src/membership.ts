import { ring, type Bell } from "./bell.js";
import type { SluiceError } from "./error.js";
import type { Pool } from "./pool.js";
import type { PoolMember, Replay } from "./poolmember.js";
import type { Snapshot, Status } from "./snapshot.js";

/** Keeps a subscription in a pool, except while it is paused or has no room, until it is over. */
export interface Membership {
  /** Everything up to here has arrived; null: nothing yet. */
  position(): string | null;
  /** Leaves the pool as soon as there is a position, for as long as there is a reason. Default reason: "". */
  pause(reason?: string): void;
  resume(reason?: string): void;
  /** Leaves the pool until there is room, or joins it again. */
  hold(full: boolean): void;
  /** Leaves the pool for good. */
  end(status: Status, error: SluiceError | null): void;
  isOver(): boolean;
}

export interface MembershipOptions extends Pick<PoolMember, "channels" | "topics"> {
  readonly replay: Replay;
  readonly until?: "end" | undefined;
  readonly lastEventId?: string | null | undefined;
}

/**
 * Joins a pool.
 *
 * @param findPool is called on every (re)join
 * @param onChange is told what changes in the snapshot
 * @param bell rings when it has left the pool: nobody waits for its room any more
 * @param rest of a member
 */
export function createMembership(
  findPool: () => Pool,
  { channels, topics, replay, until, lastEventId: position = null }: MembershipOptions,
  onChange: (change: Partial<Snapshot<never>>) => void,
  bell: Bell,
  { take, room, onEnd }: Pick<PoolMember, "take" | "room" | "onEnd">,
): Membership {
  const pauses = new Set<string>();
  let pool: Pool | undefined; // while it is a member
  let isOpen = false;
  let isFull = false;
  let over = false;

  const member: PoolMember = {
    channels,
    topics,
    replay,
    until,
    alone: !channels.length || !!until,
    position,
    take(event) {
      take(event);
      if (event.type === "$open") connected(true, null);
    },
    room,
    rest: () => hold(true),
    onLost: (error) => connected(false, error),
    onEnd,
  };

  /** Joins the pool or leaves it, as it should be now. */
  function sync(change?: Partial<Snapshot<never>>): void {
    // A pause without a position waits until the connection has opened and there is one.
    const wanted = !over && !isFull && !(pauses.size && member.position);
    if (wanted && !pool) (pool = findPool()).add(member);
    else if (!wanted && pool) {
      pool.remove(member);
      pool = undefined;
      isOpen = false;
      ring(bell);
    }
    const [pauseReason = null] = pauses;
    onChange({ ...(!over && { status: pauses.size ? "paused" : isOpen ? "open" : "connecting", pauseReason }), ...change });
  }

  function connected(opened: boolean, error: SluiceError | null): void {
    isOpen = opened;
    sync({ error });
  }

  function hold(full: boolean): void {
    if (full === isFull) return;
    isFull = full;
    sync();
  }

  sync();
  return {
    position: () => member.position,
    pause(reason = "") {
      pauses.add(reason);
      sync();
    },
    resume(reason = "") {
      pauses.delete(reason);
      sync();
    },
    hold,
    end(status, error) {
      over = true;
      sync({ status, error, pauseReason: null });
    },
    isOver: () => over,
  };
}
