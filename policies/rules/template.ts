/** What a CloudFormation template makes, for services that Pulumi has no resources of. */
import { isRecord } from "../reader.ts";
import { type Check, type Defect, notApplicable } from "../rule.ts";

/** Type of the resource that carries a template. */
export const templateType = "aws:cloudformation/stack:Stack";

/** Asks every resource of a type in a stack's template. A template that is no JSON is a finding. */
export const everyTemplated =
  (type: string, ask: (properties: Readonly<Record<string, unknown>>) => string | undefined): Check =>
  (stack) => {
    const template = stack.json("templateBody");
    const resources = isRecord(template) && isRecord(template.Resources) ? template.Resources : {};
    const meant = Object.entries(resources).flatMap(([name, resource]) =>
      isRecord(resource) && resource.Type === type ? [{ name, properties: resource.Properties }] : [],
    );
    if (meant.length === 0) return notApplicable;
    return meant.flatMap(({ name, properties }): Defect[] => {
      const message = ask(isRecord(properties) ? properties : {});
      return message === undefined ? [] : [{ detail: `Resource::${name}`, message: `${name}: ${message}` }];
    });
  };
