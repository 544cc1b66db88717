// Validates dashboards by Grafana's own types: node validate_dashboard.js MODULES SCHEMA FILE...
const fs = require("fs");
const [modules, schema, ...files] = process.argv.slice(2);
const Ajv = require(`${modules}/ajv`);
const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
const validate = ajv.compile(JSON.parse(fs.readFileSync(schema)));
let wrong = 0;
for (const file of files) {
  if (validate(JSON.parse(fs.readFileSync(file)))) continue;
  wrong += 1;
  for (const error of validate.errors.slice(0, 10)) console.log(`${file}: ${error.instancePath} ${error.message}`);
}
process.exit(wrong ? 1 : 0);
