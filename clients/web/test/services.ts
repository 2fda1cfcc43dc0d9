// The programs of the system as processes, on a database and on ports of their own.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** How long a program may take to serve, in milliseconds. */
const PATIENCE = 30_000;

/** A service that runs. */
export interface Service {
  url: string;
  process: ChildProcess;
}

/** A folder with a migrated database, and the services that run on it. */
export class Place {
  readonly folder = mkdtempSync(join(tmpdir(), "microblog-web-"));
  readonly #programs: string;
  readonly #running = new Set<ChildProcess>();

  /** `programs` is the folder that the programs are in. */
  constructor(programs: string) {
    this.#programs = programs;
    const migrator = join(programs, "migrator");
    const done = spawnSync(migrator, ["upgrade"], { env: this.#environment({}) });
    if (done.status !== 0) throw new Error(`the migrator failed: ${done.stderr}`);
  }

  /** Starts a service; it serves when this resolves. */
  async start(name: string, settings: Record<string, string>): Promise<Service> {
    const env = this.#environment(settings);
    const service = spawn(join(this.#programs, name), {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#running.add(service);
    const serves = new Promise<string>((resolve, reject) => {
      createInterface({ input: service.stdout }).on("line", (line) => {
        const { message, address } = JSON.parse(line) as Record<string, string>;
        if (message === "serving") resolve(`http://${address}`);
      });
      service.once("exit", (code) => reject(new Error(`${name} ended with ${code}`)));
      setTimeout(() => reject(new Error(`${name} does not serve`)), PATIENCE).unref();
    });
    return { url: await serves, process: service };
  }

  /** Ends a service as a container engine does, and waits until it has. */
  async end({ process: service }: Service): Promise<void> {
    const ended = once(service, "exit");
    service.kill("SIGTERM");
    await ended;
    this.#running.delete(service);
  }

  /** Ends what runs, and removes the folder. */
  close() {
    for (const service of this.#running) service.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  #environment(settings: Record<string, string>): Record<string, string> {
    const database = `sqlite:${join(this.folder, "microblog.db")}`;
    return { DATABASE_URL: database, LOG_FORMAT: "json", DRAIN_DELAY: "0s", ...settings };
  }
}
