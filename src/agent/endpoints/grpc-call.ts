//! A call of @grpc/grpc-js whose channel is chosen when it starts: what comes before that waits.

export interface GrpcMetadata {
  get(name: string): readonly unknown[];
  set(name: string, value: string): void;
  remove(name: string): void;
  clone(): GrpcMetadata;
}

export interface GrpcListener {
  onReceiveStatus(status: object): void;
}

export interface GrpcCall {
  start(metadata: GrpcMetadata, listener: GrpcListener): void;
  cancelWithStatus(status: number, details: string): void;
  getPeer(): string;
  sendMessageWithContext(context: object, message: Buffer): void;
  startRead(): void;
  halfClose(): void;
  getCallNumber(): number;
  setCredentials(credentials: unknown): void;
  getAuthContext(): unknown;
}

export interface DirectCallParts {
  /** With `start` alone: it fails then, and hears nothing more. */
  readonly call: GrpcCall | Pick<GrpcCall, "start">;
  readonly metadata: GrpcMetadata;
}

export class LaneCall implements GrpcCall {
  readonly #authority: string;
  readonly #choose: (metadata: GrpcMetadata) => DirectCallParts;
  #call: Partial<GrpcCall> | null = null;
  #credentials: unknown = null;
  #waiting: ((call: Partial<GrpcCall>) => void)[] = [];

  constructor(authority: string, choose: (metadata: GrpcMetadata) => DirectCallParts) {
    this.#authority = authority;
    this.#choose = choose;
  }

  start(metadata: GrpcMetadata, listener: GrpcListener): void {
    const { call, metadata: sent } = this.#choose(metadata);
    const chosen: Partial<GrpcCall> = call;
    if (this.#credentials !== null) chosen.setCredentials?.(this.#credentials);
    this.#call = chosen;
    call.start(sent, listener);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const act of waiting) act(chosen);
  }

  cancelWithStatus(status: number, details: string): void {
    this.#do((call) => call.cancelWithStatus?.(status, details));
  }

  sendMessageWithContext(context: object, message: Buffer): void {
    this.#do((call) => call.sendMessageWithContext?.(context, message));
  }

  startRead(): void {
    this.#do((call) => call.startRead?.());
  }

  halfClose(): void {
    this.#do((call) => call.halfClose?.());
  }

  setCredentials(credentials: unknown): void {
    if (this.#call === null) this.#credentials = credentials;
    else this.#call.setCredentials?.(credentials);
  }

  getPeer(): string {
    return this.#call?.getPeer?.() ?? this.#authority;
  }

  getCallNumber(): number {
    return this.#call?.getCallNumber?.() ?? 0;
  }

  getAuthContext(): unknown {
    return this.#call?.getAuthContext?.() ?? null;
  }

  #do(act: (call: Partial<GrpcCall>) => void): void {
    if (this.#call === null) this.#waiting.push(act);
    else act(this.#call);
  }
}
