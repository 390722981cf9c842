/** The same on somebody's machine: the command line for what is on the screen. */
import { copyable, open, save } from "../dialog";
import { button, h } from "../dom";
import type { Command } from "../protocol";

export function showCommand(command: Command): void {
  const script = h(
    "details",
    {},
    h("summary", {}, "With the files: a script that writes them and runs the command"),
    copyable(command.script, "Script", "script"),
    h(
      "p",
      {},
      button("Save the script", () => save("playground.sh", "text/x-shellscript", command.script)),
    ),
  );
  open(
    "The same on your machine",
    "command",
    h("p", {}, "Where nptables is installed, in the folder that holds the files:"),
    copyable(command.command, "Command line", "command-line"),
    script,
  );
}
