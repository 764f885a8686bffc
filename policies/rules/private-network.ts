import { limitedBy, namesAnyone } from "../iam/union.ts";
import { each, type Reader, those, typeOf } from "../reader.ts";
import { type Check, type Defect, notApplicable, type Rule } from "../rule.ts";
import type { StackView } from "../stack.ts";
import {
  awsxVpc,
  controls,
  docs,
  isFalse,
  isNotTrue,
  isTrue,
  ofVpc,
  onResource,
  onStack,
  vpcTypes,
} from "./checks.ts";
import { statementsOf } from "./statements.ts";

const base = { category: "private network", severity: "high", level: "mandatory" } as const;

const bucketType = "aws:s3/bucket:Bucket";
const blockType = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock";
const groupType = "aws:ec2/securityGroup:SecurityGroup";
const endpointType = "aws:ec2/vpcEndpoint:VpcEndpoint";
const rds = ["aws:rds/instance:Instance", "aws:rds/cluster:Cluster"];

const anywhere: ReadonlySet<string> = new Set(["0.0.0.0/0", "::/0", "0.0.0.0/00"]);

/** Whether a range is the whole internet, or a half of it written to look like less. */
const isAnywhere = (range: string): boolean => anywhere.has(range) || /\/[0-7]$/.test(range);

/** What leads out in a route: its range, or the gateway that it names, however narrow its range. */
function wayOut(route: Reader): Defect | undefined {
  const range = ["destinationCidrBlock", "destinationIpv6CidrBlock", "cidrBlock", "ipv6CidrBlock"]
    .map((path) => route.text(path))
    .find((value) => value !== undefined && isAnywhere(value));
  if (range !== undefined) return { detail: `Range::${range}`, message: `a route to ${range}` };
  const gateway =
    ["natGatewayId", "egressOnlyGatewayId", "carrierGatewayId"].find((path) => route.has(path)) ??
    (isInternetGateway(route, "gatewayId") ? "gatewayId" : undefined);
  return gateway === undefined
    ? undefined
    : { detail: `Gateway::${gateway}`, message: `a route through a gateway to the internet (${gateway})` };
}

/** @throws UnknownValue when nothing says what the value will be */
function isInternetGateway(route: Reader, path: string): boolean {
  const sources = route.isKnown(path) ? [] : route.sources(path).map(typeOf);
  if (sources.length > 0) return sources.includes("aws:ec2/internetGateway:InternetGateway");
  return route.text(path)?.startsWith("igw-") ?? false;
}

/** Open ranges of a group's own rules, of separate rules, old and new. */
function openRanges(direction: "ingress" | "egress"): Check {
  const flag = (where: string, range: string): Defect => ({
    detail: `Range::${range}`,
    message: `${where} is open to ${range}`,
  });
  return (resource) => {
    const { type } = resource.resource;
    if (type === "aws:ec2/securityGroupRule:SecurityGroupRule") {
      if (resource.text("type") !== direction) return notApplicable;
      return [...resource.texts("cidrBlocks"), ...resource.texts("ipv6CidrBlocks")]
        .filter(isAnywhere)
        .map((range) => flag(direction, range));
    }
    if (type.startsWith("aws:vpc/")) {
      return ["cidrIpv4", "cidrIpv6"].flatMap((path) => {
        const range = resource.text(path);
        return range !== undefined && isAnywhere(range) ? [flag(path, range)] : [];
      });
    }
    return each(resource.items(direction), (rule) =>
      [...rule.texts("cidrBlocks"), ...rule.texts("ipv6CidrBlocks")]
        .filter(isAnywhere)
        .map((range) => flag(rule.path, range)),
    );
  };
}

/** At least so many subnets, and a security group. */
const inside = (subnets: string, groups: string, least: number): readonly Check[] => [
  (resource) => {
    const count = resource.list(subnets).length;
    return count >= least ? undefined : `${subnets} names ${count} subnets; at least ${least} are needed`;
  },
  (resource) => (resource.list(groups).length > 0 ? undefined : `${groups} names no security group`),
];

/** Service names of interface endpoints that a stack needs by what it runs inside its VPC. */
const needed: readonly { readonly type: string; readonly services: readonly string[] }[] = [
  { type: "aws:glue/job:Job", services: ["s3", "glue", "logs"] },
  { type: "aws:emrserverless/application:Application", services: ["s3", "glue"] },
  { type: "aws:dynamodb/table:Table", services: ["dynamodb"] },
  { type: "aws:redshiftserverless/workgroup:Workgroup", services: ["s3"] },
];

function selfReferences(group: Reader, stack: StackView): boolean {
  const inline = group.items("ingress").some((rule) => rule.flag("self") === true);
  const separate = stack
    .attached("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "securityGroupId", group)
    .some((rule) => stack.refers(rule, "referencedSecurityGroupId", group));
  const older = stack
    .attached("aws:ec2/securityGroupRule:SecurityGroupRule", "securityGroupId", group)
    .some(
      (rule) =>
        rule.text("type") === "ingress" &&
        (rule.flag("self") === true || stack.refers(rule, "sourceSecurityGroupId", group)),
    );
  return inline || separate || older;
}

/** Keys by which a policy says whose callers it lets through. */
const callerKeys = [
  "aws:principalaccount",
  "aws:principalarn",
  "aws:principalorgid",
  "aws:principalorgpaths",
];

/** What an endpoint's policy leaves open; one that is not there allows everything to everybody. */
function openIn(endpoint: Reader): readonly Defect[] {
  const statements = statementsOf(endpoint, "policy");
  if (statements.length === 0) return [{ message: "its policy is full access, the default" }];
  return statements
    .filter(({ effect }) => effect === "Allow")
    .flatMap((statement): Defect[] => {
      const detail = `Statement::${statement.id}`;
      if (statement.notActions.length > 0 || statement.actions.some((action) => /^\*(:\*)?$/.test(action))) {
        return [{ detail, message: `statement ${statement.id} lets every action through` }];
      }
      return namesAnyone(statement) && !limitedBy(statement, callerKeys)
        ? [{ detail, message: `statement ${statement.id} lets callers of any account through` }]
        : [];
    });
}

const portTypes = [
  "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
  "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
  "aws:ec2/securityGroupRule:SecurityGroupRule",
  groupType,
];

/** Whether a protocol stands for every one; the provider takes the word for the number. */
const isEveryProtocol = (protocol: string): boolean => /^(-1|all)$/i.test(protocol);

/** Whether a rule is between members of its own group; the other's name is a new rule's, or an old one's. */
function isWithinGroup(rule: Reader): boolean {
  if (rule.flag("self") === true) return true;
  const own = "securityGroupId";
  const other = ["referencedSecurityGroupId", "sourceSecurityGroupId"].find((path) => rule.has(path));
  if (other === undefined) return false;
  if (rule.isKnown(own) && rule.isKnown(other)) return rule.text(own) === rule.text(other);
  const sources = rule.sources(other);
  return sources.length > 0 && sources.join() === rule.sources(own).join();
}

/** More ports than a rule may open, outside its own group. */
function widePorts(rule: Reader, most: number): string | undefined {
  const protocol = rule.text("ipProtocol") ?? rule.text("protocol");
  if (protocol === undefined || isWithinGroup(rule)) return undefined;
  if (!isEveryProtocol(protocol) && !/^(tcp|udp|6|17)$/i.test(protocol)) return undefined;
  const [from, to] = [rule.number("fromPort"), rule.number("toPort")];
  if (isEveryProtocol(protocol) || from === undefined || to === undefined) return "all ports are open";
  return to - from + 1 > most || from < 1
    ? `ports ${from} to ${to} are open; allowed are ${most}`
    : undefined;
}

/**
 * Whether a firewall is put before a stage: by the reference, or by the API's id, which AWS gives, and the stage's name.
 * @throws UnknownValue when neither tells
 */
function namesStage(association: Reader, stage: Reader): boolean {
  const path = "resourceArn";
  const sources = association.sources(path);
  const isReferred = sources.includes(stage.resource.urn);
  if (!association.isKnown(path) && sources.length > 0) return isReferred;
  const [, api, name] = association.text(path)?.match(/\/restapis\/([^/]+)\/stages\/([^/]+)$/) ?? [];
  if (name === undefined || name !== stage.text("stageName")) return false;
  return (isReferred && !stage.isKnown("restApi")) || api === stage.text("restApi");
}

export const privateNetwork: readonly Rule[] = [
  onStack(
    "s3-public-access-block",
    {
      ...base,
      severity: "critical",
      title: "Every bucket blocks public access, all four flags.",
      controls: controls("checkov 53", "checkov 54", "checkov 55", "checkov 56", "cdk-nag S2", "FSBP S3.8"),
      remedy: "Add a BucketPublicAccessBlock with all four flags true.",
      link: `${docs}/AmazonS3/latest/userguide/access-control-block-public-access.html`,
      types: [bucketType],
    },
    (bucket, stack) => {
      const block = stack.attached(blockType, "bucket", bucket)[0];
      if (!block) return "no BucketPublicAccessBlock belongs to it";
      const flags = ["blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"];
      return each(flags, (flag) =>
        block.flag(flag) === true
          ? undefined
          : { detail: `Flag::${flag}`, message: `${flag} is not true`, urn: block.resource.urn },
      );
    },
  ),
  onStack(
    "s3-ownership-enforced",
    {
      ...base,
      severity: "medium",
      title: "A bucket knows no ACLs: its owner owns every object.",
      controls: controls("FSBP S3.12"),
      remedy: "Add BucketOwnershipControls with BucketOwnerEnforced.",
      link: `${docs}/AmazonS3/latest/userguide/about-object-ownership.html`,
      types: [bucketType],
    },
    (bucket, stack) => {
      const settings = stack.attached(
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "bucket",
        bucket,
      )[0];
      const value = settings?.text("rule.objectOwnership");
      return value === "BucketOwnerEnforced"
        ? undefined
        : `objectOwnership is ${value ?? "not set"}, not BucketOwnerEnforced`;
    },
  ),
  onResource(
    "s3-no-acl",
    {
      ...base,
      title: "No ACL opens a bucket or an object.",
      controls: controls("checkov 20", "checkov 57", "FSBP S3.12"),
      remedy: "Leave acl and grants out; say it in the bucket's policy.",
      link: `${docs}/AmazonS3/latest/userguide/acl-overview.html`,
      types: [
        bucketType,
        "aws:s3/bucketAcl:BucketAcl",
        "aws:s3/bucketObjectv2:BucketObjectv2",
        "aws:s3/bucketObject:BucketObject",
      ],
    },
    (resource) => {
      const acl = resource.text("acl");
      return acl === undefined || acl === "private" ? undefined : `acl is ${acl}`;
    },
    (resource) => (resource.list("grants").length > 0 ? "grants are set" : undefined),
  ),
  onResource(
    "lambda-in-vpc",
    {
      ...base,
      severity: "medium",
      title: "A function runs in the VPC, in at least two zones.",
      controls: controls("checkov 117", "FSBP Lambda.3", "FSBP Lambda.5"),
      remedy: "Set vpcConfig with two or more subnetIds and a security group.",
      link: `${docs}/lambda/latest/dg/configuration-vpc.html`,
      types: ["aws:lambda/function:Function"],
    },
    ...inside("vpcConfig.subnetIds", "vpcConfig.securityGroupIds", 2),
  ),
  onResource(
    "glue-job-in-vpc",
    {
      ...base,
      severity: "medium",
      title: "A Spark job runs in the VPC.",
      controls: controls(),
      remedy: "Set connections to a NETWORK connection.",
      link: `${docs}/glue/latest/dg/start-connecting.html`,
      types: ["aws:glue/job:Job"],
    },
    (job) => (job.list("connections").length > 0 ? undefined : "connections names none"),
  ),
  onStack(
    "glue-connection-private",
    {
      ...base,
      severity: "medium",
      title: "A connection stands in a subnet, in a group that lets Spark talk to itself and nobody else.",
      controls: controls(),
      remedy: "Set physicalConnectionRequirements with a subnet and a self-referencing security group.",
      link: `${docs}/glue/latest/dg/setup-vpc-for-glue-access.html`,
      types: ["aws:glue/connection:Connection"],
    },
    (connection) =>
      connection.has("physicalConnectionRequirements.subnetId")
        ? undefined
        : "physicalConnectionRequirements names no subnet",
    (connection, stack) => {
      const path = "physicalConnectionRequirements.securityGroupIdLists";
      if (connection.isKnown(path) && connection.list(path).length === 0) return `${path} names no group`;
      const sources = connection.sources(path);
      const groups = stack.ofType(groupType).filter(({ resource }) => sources.includes(resource.urn));
      // A group of outside the stack: nothing here tells its rules.
      if (groups.length === 0) return undefined;
      return groups.some((group) => selfReferences(group, stack))
        ? undefined
        : "no group of it has a rule for itself, without which Spark's driver and executors do not meet";
    },
  ),
  onResource(
    "emr-serverless-in-vpc",
    {
      ...base,
      severity: "medium",
      title: "EMR Serverless runs in the VPC, in at least two zones.",
      controls: controls(),
      remedy: "Set networkConfiguration with two or more subnetIds and a security group.",
      link: `${docs}/emr/latest/EMR-Serverless-UserGuide/vpc-access.html`,
      types: ["aws:emrserverless/application:Application"],
    },
    ...inside("networkConfiguration.subnetIds", "networkConfiguration.securityGroupIds", 2),
  ),
  onResource(
    "redshift-not-public",
    {
      ...base,
      severity: "critical",
      title: "A warehouse has no public address.",
      controls: controls("FSBP RedshiftServerless.3"),
      remedy: "Set publiclyAccessible to false.",
      link: `${docs}/redshift/latest/mgmt/serverless-connecting.html`,
      types: ["aws:redshiftserverless/workgroup:Workgroup"],
    },
    isFalse("publiclyAccessible"),
    ...inside("subnetIds", "securityGroupIds", 3),
  ),
  onResource(
    "redshift-enhanced-vpc-routing",
    {
      ...base,
      severity: "medium",
      title: "COPY and UNLOAD of a warehouse go through the VPC.",
      controls: controls("FSBP RedshiftServerless.1"),
      remedy: "Set enhancedVpcRouting to true.",
      link: `${docs}/redshift/latest/mgmt/enhanced-vpc-routing.html`,
      types: ["aws:redshiftserverless/workgroup:Workgroup"],
    },
    isTrue("enhancedVpcRouting"),
  ),
  onResource(
    "rds-not-public",
    {
      ...base,
      severity: "critical",
      title: "A database has no public address.",
      controls: controls("checkov 17", "FSBP RDS.2"),
      remedy: "Set publiclyAccessible to false.",
      link: `${docs}/AmazonRDS/latest/UserGuide/USER_VPC.WorkingWithRDSInstanceinaVPC.html`,
      types: ["aws:rds/instance:Instance", "aws:rds/clusterInstance:ClusterInstance"],
    },
    isNotTrue("publiclyAccessible"),
  ),
  onStack(
    "rds-private-subnets",
    {
      ...base,
      title: "A database stands in a subnet group of its own with two zones, none of them public.",
      controls: controls("FSBP RDS.46"),
      remedy: "Set dbSubnetGroupName to a group of private subnets.",
      link: `${docs}/AmazonRDS/latest/UserGuide/USER_VPC.WorkingWithRDSInstanceinaVPC.html`,
      types: rds,
    },
    (database, stack) => {
      if (!database.has("dbSubnetGroupName"))
        return "dbSubnetGroupName is not set: the default VPC is public";
      const group = stack.target(database, "dbSubnetGroupName", "aws:rds/subnetGroup:SubnetGroup");
      if (!group) return undefined;
      if (group.list("subnetIds").length < 2) return "its subnet group has fewer than two subnets";
      const sources = group.sources("subnetIds");
      const open = stack
        .ofType("aws:ec2/subnet:Subnet")
        .filter(({ resource }) => sources.includes(resource.urn))
        .find((subnet) => subnet.flag("mapPublicIpOnLaunch") === true);
      return open && `its subnet ${open.resource.name} gives public addresses`;
    },
  ),
  onStack(
    "vpc-default-group-closed",
    {
      ...base,
      title: "The default security group of every VPC lets nothing in or out.",
      controls: controls("checkov 2_12", "FSBP EC2.2"),
      remedy: "Add a DefaultSecurityGroup without ingress and egress.",
      link: `${docs}/vpc/latest/userguide/default-security-group.html`,
      types: vpcTypes,
    },
    ofVpc((vpc, stack) => {
      const group = stack.attached("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "vpcId", vpc)[0];
      if (!group) return "no DefaultSecurityGroup of it is in the stack";
      const open = ["ingress", "egress"].filter((direction) => group.list(direction).length > 0);
      return open.map((direction) => ({
        detail: `Direction::${direction}`,
        message: `the default group has ${direction} rules`,
        urn: group.resource.urn,
      }));
    }),
  ),
  onStack(
    "subnet-no-public-address",
    {
      ...base,
      title: "No subnet gives public addresses; a VPC from awsx has none but isolated and private ones.",
      controls: controls("checkov 130", "FSBP EC2.15"),
      remedy: "Leave mapPublicIpOnLaunch and assignIpv6AddressOnCreation out; make subnets Isolated.",
      link: `${docs}/vpc/latest/userguide/vpc-ip-addressing.html`,
      types: ["aws:ec2/subnet:Subnet", awsxVpc],
    },
    ofVpc((subnet) => {
      if (subnet.resource.type !== awsxVpc) {
        return ["mapPublicIpOnLaunch", "assignIpv6AddressOnCreation"]
          .filter((path) => subnet.flag(path) === true)
          .map((path) => ({ detail: `Property::${path}`, message: `${path} is true` }));
      }
      // awsx's default has a public subnet a zone.
      const specs = subnet.items("subnetSpecs");
      if (specs.length === 0) return "subnetSpecs is not set: awsx makes public subnets";
      return each(specs, (spec) => {
        const type = spec.text("type");
        return type === "Isolated" || type === "Private" ? undefined : `${spec.path}.type is ${type}`;
      });
    }),
  ),
  onStack(
    "vpc-private-dns",
    {
      ...base,
      severity: "medium",
      title: "A VPC resolves names, without which private endpoints are passed by.",
      controls: controls(),
      remedy: "Set enableDnsSupport and enableDnsHostnames to true.",
      link: `${docs}/vpc/latest/privatelink/privatelink-access-aws-services.html`,
      types: vpcTypes,
    },
    ofVpc(isTrue("enableDnsHostnames")),
    ofVpc((vpc) => (vpc.flag("enableDnsSupport") === false ? "enableDnsSupport is false" : undefined)),
  ),
  onResource(
    "security-group-no-open-ingress",
    {
      ...base,
      severity: "critical",
      title: "No rule lets the internet in.",
      controls: controls("checkov 24", "checkov 260", "cdk-nag EC23", "FSBP EC2.18"),
      remedy: "Name a security group or a range of your own.",
      link: `${docs}/vpc/latest/userguide/security-group-rules.html`,
      types: [
        groupType,
        "aws:ec2/securityGroupRule:SecurityGroupRule",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
      ],
    },
    openRanges("ingress"),
  ),
  onResource(
    "security-group-no-open-egress",
    {
      ...base,
      level: "prod",
      severity: "medium",
      title: "No rule lets data out to the whole internet.",
      controls: controls("checkov 382"),
      remedy: "Name the endpoints' group, a prefix list or a range.",
      link: `${docs}/vpc/latest/userguide/security-group-rules.html`,
      types: [
        groupType,
        "aws:ec2/securityGroupRule:SecurityGroupRule",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
      ],
    },
    openRanges("egress"),
  ),
  onResource(
    "security-group-one-protocol",
    {
      ...base,
      severity: "medium",
      title: "A rule names one protocol; all at once is for nothing that runs here.",
      controls: controls("checkov 277"),
      remedy: "Set ipProtocol to tcp or udp.",
      link: `${docs}/vpc/latest/userguide/security-group-rules.html`,
      types: [
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
      ],
    },
    (rule) => {
      const protocol = rule.text("ipProtocol");
      return protocol !== undefined && isEveryProtocol(protocol)
        ? `ipProtocol is ${protocol}: every protocol`
        : undefined;
    },
  ),
  onStack(
    "security-group-narrow-ports",
    {
      ...base,
      severity: "medium",
      title: "A rule opens few ports, but between members of one group.",
      controls: controls("cdk-nag EC27"),
      remedy: "Set fromPort and toPort to the port in use.",
      link: `${docs}/vpc/latest/userguide/security-group-rules.html`,
      types: portTypes,
      parameters: { mostPorts: 10 },
    },
    (resource, stack) => {
      const most = Number(stack.parameter("mostPorts"));
      if (resource.resource.type !== groupType) return widePorts(resource, most);
      return each(
        ["ingress", "egress"].flatMap((direction) => resource.items(direction)),
        (rule) => {
          const message = widePorts(rule, most);
          return message && { detail: `Rule::${rule.path}`, message };
        },
      );
    },
  ),
  onResource(
    "apigateway-endpoint-type",
    {
      ...base,
      severity: "low",
      title: "An API stands in its region or in a VPC, not behind a network of edges.",
      controls: controls(),
      remedy: "Set endpointConfiguration.types to REGIONAL or PRIVATE: EDGE is the default.",
      link: `${docs}/apigateway/latest/developerguide/api-gateway-api-endpoint-types.html`,
      types: ["aws:apigateway/restApi:RestApi"],
    },
    (api) => {
      const path = "endpointConfiguration.types";
      const given = api.raw(path);
      const type = Array.isArray(given) ? api.texts(path)[0] : api.text(path);
      return type === "REGIONAL" || type === "PRIVATE"
        ? undefined
        : `${path} is ${type ?? "not set"}, not REGIONAL or PRIVATE`;
    },
  ),
  onStack(
    "vpc-needed-endpoints",
    {
      ...base,
      severity: "medium",
      title: "The endpoints exist through which what runs inside reaches AWS.",
      controls: controls("FSBP EC2.10"),
      remedy: "Add VpcEndpoints for the services named.",
      link: `${docs}/vpc/latest/privatelink/aws-services-privatelink-support.html`,
      types: vpcTypes,
    },
    ofVpc((vpc, stack) => {
      const present = stack
        .attached(endpointType, "vpcId", vpc)
        .flatMap((endpoint) => endpoint.text("serviceName")?.split(".").at(-1) ?? []);
      if (present.length === 0) return "the VPC has no endpoints";
      const services = new Set(
        needed.flatMap(({ type, services }) => (stack.ofType(type).length > 0 ? services : [])),
      );
      return [...services]
        .filter((service) => !present.includes(service))
        .map((service) => ({ detail: `Service::${service}`, message: `no endpoint for ${service}` }));
    }),
  ),
  onResource(
    "vpc-endpoint-private-dns",
    {
      ...base,
      severity: "medium",
      title: "An interface endpoint answers under the service's own name.",
      controls: controls(),
      remedy: "Set privateDnsEnabled to true.",
      link: `${docs}/vpc/latest/privatelink/create-interface-endpoint.html`,
      types: [endpointType],
    },
    (endpoint) => {
      if (endpoint.text("vpcEndpointType") !== "Interface") return notApplicable;
      return endpoint.flag("privateDnsEnabled") === true ? undefined : "privateDnsEnabled is not true";
    },
    (endpoint) => {
      if (endpoint.text("vpcEndpointType") !== "Interface") return notApplicable;
      return endpoint.list("securityGroupIds").length > 0 ? undefined : "securityGroupIds names no group";
    },
    (endpoint) => {
      if (endpoint.text("vpcEndpointType") !== "Interface") return notApplicable;
      return endpoint.list("subnetIds").length > 0 ? undefined : "subnetIds names no subnet";
    },
  ),
  onStack(
    "vpc-endpoint-policy",
    {
      ...base,
      level: "prod",
      severity: "medium",
      title: "An endpoint lets through the actions in use, for callers of the account.",
      controls: controls(),
      remedy: "Give it a policy with the actions in use and a condition on aws:PrincipalAccount.",
      link: `${docs}/vpc/latest/privatelink/vpc-endpoints-access.html`,
      types: [endpointType],
    },
    openIn,
  ),
  onStack(
    "vpc-no-internet-route",
    {
      ...base,
      title: "No route leads from the data's subnets to the internet.",
      controls: controls(),
      remedy: "Remove NAT gateways, default routes, and routes through a gateway to the internet.",
      link: `${docs}/vpc/latest/userguide/VPC_Route_Tables.html`,
      types: [
        "aws:ec2/route:Route",
        "aws:ec2/routeTable:RouteTable",
        "aws:ec2/defaultRouteTable:DefaultRouteTable",
        "aws:ec2/natGateway:NatGateway",
        awsxVpc,
      ],
    },
    // An internet gateway alone leads nowhere, and awsx makes one in every VPC: routes decide.
    ofVpc((resource) => {
      const { type } = resource.resource;
      if (type === awsxVpc) {
        const strategy = resource.text("natGateways.strategy");
        return strategy === "None" ? undefined : `natGateways.strategy is ${strategy ?? "not set"}, not None`;
      }
      if (type.endsWith(":NatGateway")) return "a gateway to the internet";
      return each(/RouteTable$/.test(type) ? resource.items("routes") : [resource], wayOut);
    }),
  ),
  onStack(
    "apigateway-waf",
    {
      ...base,
      level: "advisory",
      severity: "low",
      title: "A firewall stands before a stage that the internet reaches.",
      controls: controls("cdk-nag APIG3", "FSBP APIGateway.4"),
      remedy: "Add a WebAclAssociation for the stage.",
      link: `${docs}/apigateway/latest/developerguide/apigateway-control-access-aws-waf.html`,
      types: ["aws:apigateway/stage:Stage"],
    },
    (stage, stack) =>
      those(stack.ofType("aws:wafv2/webAclAssociation:WebAclAssociation"), (association) =>
        namesStage(association, stage),
      ).length > 0
        ? undefined
        : "no WebAclAssociation names the stage",
  ),
];
