// Validates objects of the Prometheus operator by its own schemas: node validate_crd.mjs MODULES < JSON list of objects
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const require = createRequire(`${process.argv[2]}/`);
const models = require(`${process.argv[2]}/@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1`);
let wrong = 0;
for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    const Model = models[object.kind];
    if (!Model) throw new Error(`no schema for ${object.kind}`);
    new Model(object).validate();
    console.log(`${object.kind} is valid`);
  } catch (error) {
    wrong += 1;
    console.log(`${object.kind}: ${error.message}`);
  }
}
process.exit(wrong ? 1 : 0);
