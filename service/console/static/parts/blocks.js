/**
 * Rows of a grid in blocks: read when they come in sight, kept while they may be needed, asked for again never twice.
 * Wide tables are read some columns at a time, and rows that are too large for one answer in smaller blocks.
 */

const SIZE = 200;
const MOST_CELLS = 600_000;
const LEAST_BLOCKS = 20;
const PATIENCE = 60;
const SMALLER = 12;
const AT_ONCE = 4;

/** What a source raises where rows are too large for one answer. */
export class TooLarge extends Error {
  constructor() {
    super("These rows are too large to be shown.");
  }
}

export class Blocks {
  /** `onChange` is called when rows came or could not be read. */
  constructor(source, onChange) {
    this.error = null;
    this._source = source;
    this._changed = onChange;
    this._size = SIZE;
    this._span = Math.max(Math.min(source.span ?? Infinity, source.columns.length), 1);
    this._kept = new Map();
    this._reading = new Map();
    this._timer = null;
    this._wanted = [];
  }

  /** A value of a row, or undefined while it is not here. */
  value(row, place) {
    const rows = this._kept.get(this._name(Math.floor(row / this._size), Math.floor(place / this._span)));
    return rows?.[row % this._size]?.[place % this._span];
  }

  /** The values of a row, or undefined while not all are here. */
  row(number) {
    const values = this._source.columns.map((_, place) => this.value(number, place));
    return values.includes(undefined) ? undefined : values;
  }

  /** Whether the first rows of these columns are here. */
  begun(places) {
    return places.every((place) => this._kept.has(this._name(0, Math.floor(place / this._span))));
  }

  /** These cells are in sight. They are read after a moment, so that who scrolls past asks for nothing. */
  wanted(first, last, places) {
    const groups = [...new Set(places.map((place) => Math.floor(place / this._span)))];
    const numbers = [];
    for (let number = Math.floor(first / this._size); number * this._size < last; number += 1) numbers.push(number);
    this._wanted = numbers.flatMap((number) => groups.map((group) => this._name(number, group)));
    if (this._wanted.every((name) => this._kept.has(name)) || this._timer !== null || this.error !== null) return;
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
    this._wanted = [];
  }

  _name(number, group) {
    return `${number} ${group}`;
  }

  _read() {
    for (const [name, stop] of this._reading) if (!this._wanted.includes(name)) stop.abort();
    for (const name of this._wanted) {
      if (this._reading.size >= AT_ONCE) break;
      if (!this._kept.has(name) && !this._reading.has(name)) this._readBlock(name);
    }
  }

  async _readBlock(name) {
    const [number, group] = name.split(" ").map(Number);
    const [size, stop] = [this._size, new AbortController()];
    const places = this._source.columns.map((_, place) => place).slice(group * this._span, (group + 1) * this._span);
    this._reading.set(name, stop);
    try {
      const rows = await this._source.read(number * size, size, stop.signal, places);
      if (stop.signal.aborted) return;
      this._kept.set(name, rows);
      this._forget();
    } catch (error) {
      if (stop.signal.aborted) return;
      if (error instanceof TooLarge && size > 1) this._shrink(size);
      else this.error = error;
    } finally {
      if (this._reading.get(name) === stop) this._reading.delete(name);
      this._changed();
      if (this.error === null) this._read();
    }
  }

  _shrink(size) {
    if (this._size !== size) return; // another block found out
    for (const stop of this._reading.values()) stop.abort();
    this._reading.clear();
    this._kept.clear();
    this._wanted = []; // what is in sight is asked for again when it is drawn
    this._size = Math.max(Math.floor(size / SMALLER), 1);
  }

  _forget() {
    const most = Math.max(Math.floor(MOST_CELLS / (this._size * this._span)), LEAST_BLOCKS);
    for (const name of this._kept.keys()) {
      if (this._kept.size <= most) break;
      if (!this._wanted.includes(name)) this._kept.delete(name);
    }
  }
}

/** A source of rows that are all here already, as a query answers them. */
export const ofRows = (key, columns, rows) => ({ key, columns, total: rows.length, read: async (offset, limit) => rows.slice(offset, offset + limit) });
