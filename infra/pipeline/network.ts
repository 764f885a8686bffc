import * as aws from "@pulumi/aws";
import * as awsx from "@pulumi/awsx";
import * as pulumi from "@pulumi/pulumi";
import { policyDocument, type Statement, WorkloadRole } from "../lib/iam.ts";
import { Arns, type Place } from "../lib/place.ts";
import { type Transform, transformed } from "../lib/transform.ts";

/** Interface endpoints by service, each with the actions that may pass it. */
export type PrivateServices = Readonly<Record<string, readonly string[]>>;

/** A VPC that is there already. */
export interface AdoptedVpc {
  readonly vpcId: pulumi.Input<string>;
  /** Three subnets in three zones, without a route to the internet. */
  readonly subnetIds: readonly pulumi.Input<string>[];
  readonly routeTableIds: readonly pulumi.Input<string>[];
  /** False where the VPC has the endpoints already. @default true */
  readonly createEndpoints?: boolean;
}

export interface NetworkArgs {
  readonly place: pulumi.Input<Place>;
  /** Range of the new VPC, /16 to /23. Ignored with `adopt`. @default "10.20.0.0/16" */
  readonly cidr?: string;
  readonly adopt?: AdoptedVpc;
  /** Key of the flow logs. */
  readonly logsKeyArn: pulumi.Input<string>;
  /** What is called from inside: one interface endpoint each. */
  readonly privateServices: PrivateServices;
  /** Zones with interface endpoints, 0 to 3; each costs by the hour. 0 leaves them out. @default 3 */
  readonly endpointZones?: number;
  /** Buckets that may be reached from inside. */
  readonly bucketArns: readonly pulumi.Input<string>[];
  /** DynamoDB tables that may be reached from inside. */
  readonly tableArns: readonly pulumi.Input<string>[];
  /** Days, one of CloudWatch's values. @default 30 */
  readonly flowLogRetentionDays?: pulumi.Input<number>;
  /** Another VPC of the account that is routed to, for a database that lives there. */
  readonly peering?: { readonly vpcId: pulumi.Input<string>; readonly cidr: pulumi.Input<string> };
  /** Upper limit of the roles made here. */
  readonly permissionsBoundary?: pulumi.Input<string> | undefined;
  readonly transform?: {
    readonly vpc?: Transform<awsx.ec2.VpcArgs, pulumi.ComponentResourceOptions>;
    readonly endpoint?: Transform<aws.ec2.VpcEndpointArgs>;
  };
}

/**
 * A network without a way to the internet: three isolated subnets, gateway endpoints for S3 and DynamoDB, interface
 * endpoints for exactly the services that are called from inside, flow logs, and a default group that lets nothing
 * through. Everything inside wears `workloadGroup`, which reaches itself (Spark), the endpoints and nothing else.
 *
 * @example
 * const network = new Network("shop-dev", {
 *   place, bucketArns: [], tableArns: [], ...keys,
 *   privateServices: { glue: ["glue:GetTable"] },
 *   endpointZones: 1,
 * });
 */
export class Network extends pulumi.ComponentResource {
  readonly vpcId: pulumi.Output<string>;
  /** Three subnets in three zones. */
  readonly subnetIds: pulumi.Output<string[]>;
  readonly routeTableIds: pulumi.Output<string[]>;
  /** Zone of the first subnet, which a Glue connection has to name. */
  readonly firstZone: pulumi.Output<string>;
  readonly firstSubnetId: pulumi.Output<string>;
  readonly workloadGroup: aws.ec2.SecurityGroup;
  readonly warehouseGroup: aws.ec2.SecurityGroup;
  readonly nodes: {
    readonly vpc: awsx.ec2.Vpc | undefined;
    readonly gateways: readonly aws.ec2.VpcEndpoint[];
    readonly endpoints: Readonly<Record<string, aws.ec2.VpcEndpoint>>;
  };

  constructor(name: string, args: NetworkArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:Network", name, {}, opts);
    const parent = this;
    const arns = new Arns(args.place);
    const account = arns.place.apply(({ accountId }) => accountId);
    const region = arns.place.apply((place) => place.region);
    const endpointZones = args.endpointZones ?? 3;
    const ownEndpoints = args.adopt === undefined || (args.adopt.createEndpoints ?? true);

    const vpc = args.adopt ? undefined : createVpc();
    this.vpcId = vpc ? vpc.vpcId : pulumi.output(args.adopt?.vpcId ?? "");
    this.subnetIds = vpc ? vpc.isolatedSubnetIds : pulumi.output([...(args.adopt?.subnetIds ?? [])]);
    this.routeTableIds = vpc
      ? vpc.routeTables.apply((tables) => pulumi.all(tables.map(({ id }) => id)))
      : pulumi.output([...(args.adopt?.routeTableIds ?? [])]);
    this.firstSubnetId = this.subnetIds.apply(([first]) => first ?? "");
    this.firstZone = aws.ec2.getSubnetOutput({ id: this.firstSubnetId }, { parent }).availabilityZone;

    if (vpc) closeDefaultGroup(this.vpcId);
    if (vpc) logFlows(this.vpcId);
    this.workloadGroup = createGroup("workloads", "Jobs and functions", this.vpcId);
    this.warehouseGroup = createGroup("warehouse", "The warehouse", this.vpcId);
    allowWithin(this.workloadGroup);
    const gateways = ownEndpoints
      ? [createGateway("s3", s3Statements(), this), createGateway("dynamodb", dynamodbStatements(), this)]
      : [];
    allowToGateways(this.workloadGroup, this.warehouseGroup, gateways);
    const endpoints = ownEndpoints && endpointZones > 0 ? createEndpoints(this) : {};
    if (args.peering) connectPeer(args.peering, this);

    this.nodes = { vpc, gateways, endpoints };
    this.registerOutputs({ vpcId: this.vpcId, subnetIds: this.subnetIds });

    function createVpc(): awsx.ec2.Vpc {
      // A plugin makes the children: they get default tags only from a provider that is handed over by name.
      const provider = parent.getProvider("aws:ec2/vpc:Vpc");
      const vpcOptions: pulumi.ComponentResourceOptions = {
        parent,
        ...(provider && { providers: { aws: provider } }),
      };
      return new awsx.ec2.Vpc(
        ...transformed(
          args.transform?.vpc,
          name,
          {
            cidrBlock: args.cidr ?? "10.20.0.0/16",
            numberOfAvailabilityZones: 3,
            subnetStrategy: "Auto",
            subnetSpecs: [{ type: "Isolated", name: "isolated" }],
            natGateways: { strategy: "None" },
            enableDnsHostnames: true,
            enableDnsSupport: true,
          },
          vpcOptions,
        ),
      );
    }

    function closeDefaultGroup(vpcId: pulumi.Output<string>): void {
      new aws.ec2.DefaultSecurityGroup(`${name}-default`, { vpcId, ingress: [], egress: [] }, { parent });
    }

    function logFlows(vpcId: pulumi.Output<string>): void {
      const group = new aws.cloudwatch.LogGroup(
        `${name}-flow`,
        {
          name: `/aws/vpc/${name}/flow`,
          retentionInDays: args.flowLogRetentionDays ?? 30,
          kmsKeyId: args.logsKeyArn,
        },
        { parent },
      );
      const role = new WorkloadRole(
        `${name}-flow-logs`,
        {
          place: args.place,
          description: "VPC flow logs into their log group",
          trust: "vpc-flow-logs.amazonaws.com",
          permissionsBoundary: args.permissionsBoundary,
          policies: {
            write: [
              {
                sid: "WriteFlowLogs",
                actions: ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                resources: [arns.logGroup(group.name), pulumi.interpolate`${arns.logGroup(group.name)}:*`],
              },
            ],
          },
        },
        { parent },
      );
      new aws.ec2.FlowLog(
        name,
        {
          vpcId,
          trafficType: "ALL",
          logDestinationType: "cloud-watch-logs",
          logDestination: arns.logGroup(group.name),
          iamRoleArn: role.arn,
          maxAggregationInterval: 600,
        },
        { parent, dependsOn: [role] },
      );
    }

    function createGroup(
      kind: string,
      description: string,
      vpcId: pulumi.Output<string>,
    ): aws.ec2.SecurityGroup {
      return new aws.ec2.SecurityGroup(
        `${name}-${kind}`,
        // Rules are resources of their own. Without one a group lets nothing out: the provider removes AWS's default.
        { name: `${name}-${kind}`, description, vpcId },
        { parent },
      );
    }

    // Glue refuses a group that does not let its own members reach each other on every TCP port.
    function allowWithin(group: aws.ec2.SecurityGroup): void {
      const rule = {
        securityGroupId: group.id,
        referencedSecurityGroupId: group.id,
        ipProtocol: "tcp",
        fromPort: 0,
        toPort: 65535,
        description: "Spark drivers and executors among themselves",
      };
      new aws.vpc.SecurityGroupIngressRule(`${name}-workloads-self`, rule, { parent });
      new aws.vpc.SecurityGroupEgressRule(`${name}-workloads-self`, rule, { parent });
    }

    function createGateway(service: string, statements: Statement[], network: Network): aws.ec2.VpcEndpoint {
      return new aws.ec2.VpcEndpoint(
        ...transformed(
          args.transform?.endpoint,
          `${name}-${service}`,
          {
            vpcId: network.vpcId,
            vpcEndpointType: "Gateway",
            serviceName: pulumi.interpolate`com.amazonaws.${region}.${service}`,
            routeTableIds: network.routeTableIds,
            policy: policyDocument(statements),
          },
          { parent },
        ),
      );
    }

    function s3Statements(): Statement[] {
      const objects = args.bucketArns.map((arn) => pulumi.interpolate`${arn}/*`);
      return [
        {
          sid: "OwnBuckets",
          principals: "*",
          actions: [
            "s3:AbortMultipartUpload",
            "s3:DeleteObject",
            "s3:GetObject",
            "s3:GetObjectVersion",
            "s3:ListBucket",
            "s3:ListBucketMultipartUploads",
            "s3:ListBucketVersions",
            "s3:ListMultipartUploadParts",
            "s3:PutObject",
          ],
          resources:
            [...args.bucketArns, ...objects].length > 0
              ? [...args.bucketArns, ...objects]
              : [arns.bucket(`${name}-*`)],
          conditions: { StringEquals: { "aws:PrincipalAccount": account } },
        },
      ];
    }

    function dynamodbStatements(): Statement[] {
      return [
        {
          sid: "OwnTables",
          principals: "*",
          actions: [
            "dynamodb:BatchGetItem",
            "dynamodb:DeleteItem",
            "dynamodb:DescribeContinuousBackups",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
          ],
          resources:
            args.tableArns.length > 0 ? args.tableArns : [arns.regional("dynamodb", `table/${name}-*`)],
          conditions: { StringEquals: { "aws:PrincipalAccount": account } },
        },
      ];
    }

    function allowToGateways(
      workloads: aws.ec2.SecurityGroup,
      warehouse: aws.ec2.SecurityGroup,
      own: readonly aws.ec2.VpcEndpoint[],
    ): void {
      const lists = ["s3", "dynamodb"].map((service, index) => ({
        service,
        id:
          own[index]?.prefixListId ??
          aws.ec2.getPrefixListOutput(
            { name: pulumi.interpolate`com.amazonaws.${region}.${service}` },
            { parent },
          ).id,
      }));
      for (const { service, id } of lists) {
        allowHttps(`${name}-workloads-${service}`, workloads, { prefixListId: id }, `To ${service}`);
      }
      const s3 = lists[0];
      if (s3) allowHttps(`${name}-warehouse-s3`, warehouse, { prefixListId: s3.id }, "COPY from the lake");
    }

    function allowHttps(
      ruleName: string,
      group: aws.ec2.SecurityGroup,
      to: Pick<aws.vpc.SecurityGroupEgressRuleArgs, "prefixListId" | "referencedSecurityGroupId">,
      description: string,
    ): void {
      new aws.vpc.SecurityGroupEgressRule(
        ruleName,
        { securityGroupId: group.id, ...to, ipProtocol: "tcp", fromPort: 443, toPort: 443, description },
        { parent },
      );
    }

    function createEndpoints(network: Network): Record<string, aws.ec2.VpcEndpoint> {
      const group = createGroup("endpoints", "Interface endpoints", network.vpcId);
      new aws.vpc.SecurityGroupIngressRule(
        `${name}-endpoints-workloads`,
        {
          securityGroupId: group.id,
          referencedSecurityGroupId: network.workloadGroup.id,
          ipProtocol: "tcp",
          fromPort: 443,
          toPort: 443,
          description: "From jobs and functions",
        },
        { parent },
      );
      allowHttps(
        `${name}-workloads-endpoints`,
        network.workloadGroup,
        { referencedSecurityGroupId: group.id },
        "To the endpoints",
      );
      return Object.fromEntries(
        Object.entries(args.privateServices)
          .toSorted(([a], [b]) => (a < b ? -1 : 1))
          .map(([service, actions]) => [service, createInterface(service, actions, group, network)]),
      );
    }

    function createInterface(
      service: string,
      actions: readonly string[],
      group: aws.ec2.SecurityGroup,
      network: Network,
    ): aws.ec2.VpcEndpoint {
      return new aws.ec2.VpcEndpoint(
        ...transformed(
          args.transform?.endpoint,
          `${name}-${service}`,
          {
            vpcId: network.vpcId,
            vpcEndpointType: "Interface",
            serviceName: pulumi.interpolate`com.amazonaws.${region}.${service}`,
            subnetIds: network.subnetIds.apply((ids) => ids.slice(0, endpointZones)),
            securityGroupIds: [group.id],
            privateDnsEnabled: true,
            // Whose call it is decides; which resource is decided by the caller's role.
            policy: policyDocument([
              {
                sid: "OwnAccount",
                principals: "*",
                actions,
                resources: ["*"],
                conditions: { StringEquals: { "aws:PrincipalAccount": account } },
              },
            ]),
          },
          { parent },
        ),
      );
    }

    function connectPeer(peer: NonNullable<NetworkArgs["peering"]>, network: Network): void {
      const connection = new aws.ec2.VpcPeeringConnection(
        `${name}-peer`,
        { vpcId: network.vpcId, peerVpcId: peer.vpcId, autoAccept: true },
        { parent },
      );
      // Three route tables, one a zone: the plugin that makes them tells their ids, not their number.
      for (const index of [0, 1, 2]) {
        new aws.ec2.Route(
          `${name}-peer-${index}`,
          {
            routeTableId: network.routeTableIds.apply((ids) => ids[index] ?? ids[0] ?? ""),
            destinationCidrBlock: peer.cidr,
            vpcPeeringConnectionId: connection.id,
          },
          { parent },
        );
      }
    }
  }
}
