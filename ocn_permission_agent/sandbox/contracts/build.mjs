// Compiles Registry.sol and Permissions.sol into contracts.json. Only needed after a change of either:
//
//   cd ocn_permission_agent/sandbox/contracts
//   npm install --no-save --prefix ../../../.cache/solc solc@0.5.17
//   node build.mjs ../../../.cache/solc
//
// The compiler is the 0.5 of the real contracts and the target petersburg: later compilers treat dirty upper bits
// of addresses otherwise and use instructions that this chain's rules do not know.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";

const here = import.meta.dirname;
const solc = createRequire(resolve(process.argv[2] ?? here, "package.json"))("solc");
const settings = { optimizer: { enabled: true, runs: 200 }, evmVersion: "petersburg" };
const sources = Object.fromEntries(
  ["Permissions.sol", "Registry.sol"].map((name) => [name, { content: readFileSync(resolve(here, name), "utf8") }]),
);
const wanted = { "*": { "*": ["abi", "evm.bytecode.object"] } };
const output = JSON.parse(
  solc.compile(JSON.stringify({ language: "Solidity", sources, settings: { ...settings, outputSelection: wanted } })),
);
for (const problem of output.errors ?? []) console.error(problem.formattedMessage);
if ((output.errors ?? []).some((problem) => problem.severity === "error")) process.exit(1);

const contracts = Object.fromEntries(
  ["Registry", "Permissions"].map((name) => {
    const { abi, evm } = output.contracts[`${name}.sol`][name];
    return [name, { abi, bytecode: "0x" + evm.bytecode.object }];
  }),
);
const artefact = {
  about: "The sandbox's own Registry and Permissions contracts, compiled from the .sol files beside this file.",
  compiler: solc.version(),
  settings,
  command: "npm install --no-save --prefix ../../../.cache/solc solc@0.5.17 && node build.mjs ../../../.cache/solc",
  contracts,
};
writeFileSync(resolve(here, "contracts.json"), JSON.stringify(artefact, null, 1) + "\n");
