/** An answer of the gateway: status, headers and the JSON body, if any. */
export interface Answer {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
  /** The body as it came. */
  text: string;
}

export interface Outgoing {
  method: string;
  headers: Record<string, string>;
  body?: Uint8Array;
}

/** A user of the public HTTP API. Holds one session's token; nothing here knows the server from inside. */
export class ApiClient {
  token: string | null = null;

  constructor(
    public baseUrl: string,
    private readonly deviceModel = 'Pixel 9',
    private readonly headers: Record<string, string> = {},
  ) {}

  get(path: string): Promise<Answer> {
    return this.send('GET', path);
  }
  post(path: string, body?: unknown): Promise<Answer> {
    return this.send('POST', path, body);
  }
  put(path: string, body: unknown): Promise<Answer> {
    return this.send('PUT', path, body);
  }
  delete(path: string): Promise<Answer> {
    return this.send('DELETE', path);
  }

  /** Sends raw bytes, as a step's frames are sent. */
  postBytes(path: string, bytes: Uint8Array, contentType = 'application/octet-stream'): Promise<Answer> {
    return this.request('POST', path, bytes, contentType);
  }

  /** Logs in and keeps the token. */
  async login(email: string, password: string): Promise<Answer> {
    this.token = null;
    const answer = await this.post('/v1/auth/login', { email, password });
    if (typeof answer.body.token === 'string') this.token = answer.body.token;
    return answer;
  }

  private send(method: string, path: string, body?: unknown): Promise<Answer> {
    return body === undefined
      ? this.request(method, path)
      : this.request(method, path, Buffer.from(JSON.stringify(body)), 'application/json');
  }

  private async request(method: string, path: string, bytes?: Uint8Array, contentType?: string): Promise<Answer> {
    const headers = {
      'X-Device-Model': this.deviceModel,
      ...this.headers,
      ...(contentType ? { 'Content-Type': contentType } : {}),
      ...(this.token ? { Authorization: `Bearer ${this.token}` } : {}),
    };
    const raw = await this.exchange(this.baseUrl + path, { method, headers, ...(bytes ? { body: bytes } : {}) });
    const isJson = /json/.test(raw.headers.get('content-type') ?? '');
    const body = isJson && raw.text ? (JSON.parse(raw.text) as Record<string, unknown>) : {};
    const answer = { ...raw, body };
    this.observe(path, answer);
    return answer;
  }

  /** One request and its whole answer. Rejects with a TypeError when there is none, as `fetch` does. */
  protected async exchange(url: string, { method, headers, body }: Outgoing): Promise<Omit<Answer, 'body'>> {
    const response = await fetch(url, { method, headers, ...(body ? { body: Buffer.from(body) } : {}) });
    return { status: response.status, headers: response.headers, text: await response.text() };
  }

  /** Sees every answer; for a test that looks at all of them. */
  protected observe(_path: string, _answer: Answer): void {}
}
