/** Rows of a grid in blocks: read when they come in sight, kept while they may be needed, asked for again never twice. */

const SIZE = 200;
const MOST = 60;
const PATIENCE = 60;

export class Blocks {
  /** `onChange` is called when rows came or could not be read. */
  constructor(source, onChange) {
    this.error = null;
    this._source = source;
    this._changed = onChange;
    this._kept = new Map();
    this._reading = new Map();
    this._timer = null;
    this._range = [0, 0];
  }

  /** The rows of a block that are here, empty before. */
  block(number) {
    return this._kept.get(number) ?? [];
  }

  /** The values of a row, or undefined while it is not here. */
  row(number) {
    return this._kept.get(Math.floor(number / SIZE))?.[number % SIZE];
  }

  /** Whether all these rows are here. */
  rows(first, last) {
    for (let number = Math.floor(first / SIZE); number * SIZE < last; number += 1) if (!this._kept.has(number)) return false;
    return true;
  }

  /** These rows are in sight. They are read after a moment, so that who scrolls past asks for nothing. */
  wanted(first, last) {
    this._range = [Math.floor(first / SIZE), Math.floor(Math.max(last - 1, 0) / SIZE)];
    if (last <= first || this.rows(first, last) || this._timer !== null || this.error !== null) return;
    this._timer = setTimeout(() => { this._timer = null; this._read(); }, this._kept.size ? PATIENCE : 0);
  }

  /** Reads again what could not be read. */
  again() {
    this.error = null;
    this._read();
  }

  close() {
    clearTimeout(this._timer);
    for (const stop of this._reading.values()) stop.abort();
    this._changed = () => {};
  }

  _read() {
    const [first, last] = this._range;
    for (const [number, stop] of this._reading) if (number < first || number > last) stop.abort();
    for (let number = first; number <= last; number += 1) if (!this._kept.has(number) && !this._reading.has(number)) this._readBlock(number);
  }

  async _readBlock(number) {
    const stop = new AbortController();
    this._reading.set(number, stop);
    try {
      const rows = await this._source.read(number * SIZE, SIZE, stop.signal);
      if (stop.signal.aborted) return;
      this._kept.set(number, rows);
      for (const old of this._kept.keys()) {
        if (this._kept.size <= MOST) break;
        if (old !== 0 && (old < this._range[0] || old > this._range[1])) this._kept.delete(old);
      }
    } catch (error) {
      if (!stop.signal.aborted) this.error = error;
    } finally {
      this._reading.delete(number);
      this._changed();
    }
  }
}

/** A source of rows that are all here already, as a query answers them. */
export const ofRows = (key, columns, rows) => ({ key, columns, total: rows.length, read: async (offset, limit) => rows.slice(offset, offset + limit) });
