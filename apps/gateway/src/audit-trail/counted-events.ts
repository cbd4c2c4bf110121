/** What happened at least once. `count` is absent for a single time. */
export interface Counted<T> {
  key: string;
  first: T;
  count: number;
}

interface Window<T> {
  opensAgainAt: number;
  waiting: { first: T; count: number } | null;
}

const WINDOW_MS = 60_000;
const KEYS_MAX = 10_000;

/**
 * Lets at most one entry a key and minute through: the first at once, the rest of its minute as one counted entry
 * afterwards. A flood of failed logins must not become a flood of audit events.
 */
export class CountedEvents<T> {
  private readonly windows = new Map<string, Window<T>>();

  constructor(
    private readonly emit: (counted: Counted<T>) => void,
    private readonly now: () => number = () => Date.now(),
  ) {}

  add(key: string, event: T): void {
    const window = this.windows.get(key);
    if (window && this.now() < window.opensAgainAt) {
      if (window.waiting) window.waiting.count += 1;
      else window.waiting = { first: event, count: 1 };
      return;
    }
    if (window?.waiting) {
      window.waiting.count += 1;
      this.release(key, window);
      return;
    }
    // Beyond so many keys a minute is somebody's flood: what is waiting goes out and counting starts anew.
    if (this.windows.size >= KEYS_MAX) this.flush();
    this.windows.set(key, { opensAgainAt: this.now() + WINDOW_MS, waiting: null });
    this.emit({ key, first: event, count: 1 });
  }

  /** Lets out what waited its minute, and forgets the rest. To be called now and then. */
  sweep(): void {
    for (const [key, window] of this.windows) {
      if (this.now() < window.opensAgainAt) continue;
      if (window.waiting) this.release(key, window);
      else this.windows.delete(key);
    }
  }

  /** Everything that waits, at once: before the process ends. */
  flush(): void {
    for (const [key, window] of this.windows) if (window.waiting) this.release(key, window);
    this.windows.clear();
  }

  private release(key: string, window: Window<T>): void {
    const { waiting } = window;
    window.waiting = null;
    window.opensAgainAt = this.now() + WINDOW_MS;
    if (waiting) this.emit({ key, ...waiting });
  }
}
