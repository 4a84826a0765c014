// The notary that OCN platforms use, as a program: one JSON line in, one JSON line out, until the input ends.
//
//   {"op": "sign", "values": TEXT, "key": HEX}                          -> {"header": TEXT}
//   {"op": "verify", "values": TEXT, "header": TEXT}                    -> {"verdict": {isValid, error?} | {thrown}}
//   {"op": "resign", "values": TEXT, "header": TEXT, "key": HEX, "stash": {PATH: OLD}} -> {"header": TEXT}
//
// `values` is JSON text and not JSON, so that numbers arrive spelled as they are sent on the wire.

const readline = require("readline");
const { createRequire } = require("module");

const Notary = createRequire(process.argv[2] + "/")("@shareandcharge/ocn-notary").default;

async function answer(request) {
  const values = JSON.parse(request.values);
  switch (request.op) {
    case "sign": {
      const notary = new Notary();
      await notary.sign(values, request.key);
      return { header: await notary.serialize() };
    }
    case "verify":
      try {
        const notary = await Notary.deserialize(request.header);
        return { verdict: notary.verify(values) };
      } catch (error) {
        return { verdict: { isValid: false, thrown: String(error) } };
      }
    case "resign": {
      const notary = await Notary.deserialize(request.header);
      notary.stash(request.stash);
      await notary.sign(values, request.key);
      return { header: await notary.serialize() };
    }
    default:
      throw new Error(`unknown op ${request.op}`);
  }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + "\n");
  }
}

main();
