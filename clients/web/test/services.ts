// Runs the programs of the system as processes, on a new database and free ports.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** The timeout for the start of a service, in milliseconds. */
const START_TIMEOUT_MS = 30_000;

/** A running service. */
export interface Service {
  url: string;
  process: ChildProcess;
}

/** A directory with a migrated database, and the services that run on it. */
export class TestSystem {
  readonly folder = mkdtempSync(join(tmpdir(), "microblog-web-"));
  readonly #programs: string;
  readonly #running = new Set<ChildProcess>();

  /** Creates the database with the migrator in the directory `programs`. */
  constructor(programs: string) {
    this.#programs = programs;
    const migrator = join(programs, "migrator");
    const done = spawnSync(migrator, ["upgrade"], { env: this.#environment({}) });
    if (done.status !== 0) throw new Error(`the migrator failed: ${done.stderr}`);
  }

  /** Starts a service, and resolves once it is serving. */
  async start(name: string, settings: Record<string, string>): Promise<Service> {
    const env = this.#environment(settings);
    const service = spawn(join(this.#programs, name), {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#running.add(service);
    const url = new Promise<string>((resolve, reject) => {
      createInterface({ input: service.stdout }).on("line", (line) => {
        const { message, address } = JSON.parse(line) as Record<string, string>;
        if (message === "serving") resolve(`http://${address}`);
      });
      service.once("exit", (code) => reject(new Error(`${name} exited with ${code}`)));
      setTimeout(() => reject(new Error(`${name} is not serving`)), START_TIMEOUT_MS).unref();
    });
    return { url: await url, process: service };
  }

  /** Stops a service by SIGTERM, as a container engine does, and waits until it has exited. */
  async end({ process: service }: Service): Promise<void> {
    const ended = once(service, "exit");
    service.kill("SIGTERM");
    await ended;
    this.#running.delete(service);
  }

  /** Kills the running services, and removes the directory. */
  close() {
    for (const service of this.#running) service.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  #environment(settings: Record<string, string>): Record<string, string> {
    const database = `sqlite:${join(this.folder, "microblog.db")}`;
    return { DATABASE_URL: database, LOG_FORMAT: "json", DRAIN_DELAY: "0s", ...settings };
  }
}
