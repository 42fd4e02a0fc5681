// What a client has emitted and the test has not asked for yet.

const TIMEOUT_MS = 10_000;

export class Inbox {
  #items = [];
  #waiting = new Set();

  put(item) {
    this.#items.push(item);
    for (const check of [...this.#waiting]) check();
  }

  /** Take the oldest item that has all members of `like`, waiting for it. */
  take(like, timeoutMs = TIMEOUT_MS) {
    return new Promise((resolve, reject) => {
      const check = () => {
        const index = this.#items.findIndex((item) => Object.entries(like).every(([key, value]) => item[key] === value));
        if (index < 0) return false;
        done();
        resolve(this.#items.splice(index, 1)[0]);
        return true;
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(`nothing like ${JSON.stringify(like)} within ${timeoutMs} ms; here: ${JSON.stringify(this.#items)}`));
      }, timeoutMs);
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(check);
      };
      this.#waiting.add(check);
      check();
    });
  }

  /** Everything that has all members of `like`, without taking it. */
  seen(like = {}) {
    return this.#items.filter((item) => Object.entries(like).every(([key, value]) => item[key] === value));
  }
}
