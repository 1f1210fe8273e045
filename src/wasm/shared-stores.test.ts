import { InProcessSharedData } from "./shared-data-store.ts";
import { InProcessSharedQueues } from "./shared-queues.ts";
import { runSharedStoreCases } from "./shared-store-cases.ts";

runSharedStoreCases("in this process", () => {
  const tasks: (() => void)[] = [];
  return {
    data: new InProcessSharedData(),
    queues: new InProcessSharedQueues((task) => tasks.push(task)),
    run: () => {
      while (tasks.length > 0) tasks.shift()?.();
    },
  };
});
