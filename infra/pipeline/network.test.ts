import { expect } from "chai";
import { keyArns, ofType, one, place, record, statementsOf } from "../testing.ts";
import { Network, type NetworkArgs } from "./network.ts";

const args: NetworkArgs = {
  place,
  logsKeyArn: keyArns.logsKeyArn,
  privateServices: { glue: ["glue:GetTable"], logs: ["logs:PutLogEvents"] },
  bucketArns: ["arn:aws:s3:::shop-landing"],
  tableArns: ["arn:aws:dynamodb:eu-central-1:111122223333:table/shop-ledger"],
};
const endpointType = "aws:ec2/vpcEndpoint:VpcEndpoint";

describe("Network", () => {
  it("asks awsx for isolated subnets over three zones and no way out", async () => {
    const graph = await record(() => new Network("shop", { ...args, cidr: "10.9.0.0/16" }));
    const vpc = one(graph, "awsx:ec2:Vpc", "shop");
    expect(vpc.inputs).to.deep.equal({
      cidrBlock: "10.9.0.0/16",
      numberOfAvailabilityZones: 3,
      subnetStrategy: "Auto",
      subnetSpecs: [{ type: "Isolated", name: "isolated" }],
      natGateways: { strategy: "None" },
      enableDnsHostnames: true,
      enableDnsSupport: true,
    });
    expect(vpc.opaque).to.equal(true);
    const types = graph.resources.map(({ type }) => type).join();
    expect(types).not.to.match(/natGateway|internetGateway|eip/i);
  });

  it("closes the default group and logs all flows", async () => {
    const graph = await record(() => new Network("shop", { ...args, flowLogRetentionDays: 90 }));
    const closed = one(graph, "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "shop-default");
    expect(closed.inputs).to.deep.include({ ingress: [], egress: [] });
    expect(one(graph, "aws:ec2/flowLog:FlowLog", "shop").inputs).to.deep.include({
      trafficType: "ALL",
      logDestination: "arn:aws:logs:eu-central-1:111122223333:log-group:/aws/vpc/shop/flow",
    });
    expect(one(graph, "aws:cloudwatch/logGroup:LogGroup", "shop-flow").inputs).to.deep.equal({
      name: "/aws/vpc/shop/flow",
      retentionInDays: 90,
      kmsKeyId: keyArns.logsKeyArn,
    });
  });

  it("makes the two gateways and an endpoint for each service that is called, and no other", async () => {
    const graph = await record(() => new Network("shop", args));
    expect(ofType(graph, endpointType).map(({ inputs }) => inputs.serviceName)).to.have.members([
      "com.amazonaws.eu-central-1.s3",
      "com.amazonaws.eu-central-1.dynamodb",
      "com.amazonaws.eu-central-1.glue",
      "com.amazonaws.eu-central-1.logs",
    ]);
    const glue = one(graph, endpointType, "shop-glue").inputs;
    expect(glue).to.deep.include({ vpcEndpointType: "Interface", privateDnsEnabled: true });
    expect(glue.subnetIds).to.have.length(3);
    expect(statementsOf(glue.policy)).to.have.length(1);
    expect(statementsOf(glue.policy)[0]).to.deep.include({
      actions: ["glue:GetTable"],
      Condition: { StringEquals: { "aws:PrincipalAccount": "111122223333" } },
    });
    const s3 = one(graph, endpointType, "shop-s3").inputs;
    expect(s3.routeTableIds).to.have.length(3);
    expect(statementsOf(s3.policy)[0]?.resources).to.deep.equal([
      "arn:aws:s3:::shop-landing",
      "arn:aws:s3:::shop-landing/*",
    ]);
  });

  it("stands in as many zones as are paid for; in none, no interface endpoint is left", async () => {
    const one_ = await record(() => new Network("shop", { ...args, endpointZones: 1 }));
    expect(one(one_, endpointType, "shop-glue").inputs.subnetIds).to.have.length(1);
    const none = await record(() => new Network("shop", { ...args, endpointZones: 0 }));
    expect(ofType(none, endpointType).map(({ inputs }) => inputs.vpcEndpointType)).to.deep.equal([
      "Gateway",
      "Gateway",
    ]);
  });

  it("lets workloads reach themselves, the gateways and the endpoints, on no other port and nowhere else", async () => {
    const graph = await record(() => new Network("shop", args));
    const egress = ofType(graph, "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule");
    expect(egress.map(({ name }) => name)).to.have.members([
      "shop-workloads-self",
      "shop-workloads-s3",
      "shop-workloads-dynamodb",
      "shop-workloads-endpoints",
      "shop-warehouse-s3",
    ]);
    for (const { name, inputs } of egress) {
      expect(inputs, name).not.to.have.any.keys("cidrIpv4", "cidrIpv6");
      if (name !== "shop-workloads-self")
        expect(inputs, name).to.deep.include({ fromPort: 443, toPort: 443, ipProtocol: "tcp" });
    }
    // Glue refuses a group without this rule.
    const self = one(
      graph,
      "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
      "shop-workloads-self",
    ).inputs;
    expect(self.securityGroupId).to.equal(self.referencedSecurityGroupId);
    expect(self).to.deep.include({ ipProtocol: "tcp", fromPort: 0, toPort: 65535 });
  });

  it("adopts a VPC: makes no VPC, closes nothing in it, and can use the endpoints that are there", async () => {
    const adopt = {
      vpcId: "vpc-1",
      subnetIds: ["subnet-1", "subnet-2", "subnet-3"],
      routeTableIds: ["rtb-1"],
    };
    const graph = await record(() => new Network("shop", { ...args, adopt }));
    expect(ofType(graph, "awsx:ec2:Vpc")).to.deep.equal([]);
    expect(ofType(graph, "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")).to.deep.equal([]);
    expect(one(graph, endpointType, "shop-s3").inputs).to.deep.include({
      vpcId: "vpc-1",
      routeTableIds: ["rtb-1"],
    });
    const shared = await record(
      () => new Network("shop", { ...args, adopt: { ...adopt, createEndpoints: false } }),
    );
    expect(ofType(shared, endpointType)).to.deep.equal([]);
    const toS3 = one(shared, "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", "shop-workloads-s3");
    expect(toS3.inputs.prefixListId).to.match(/^pl-/);
  });

  it("connects the database's VPC from every route table", async () => {
    const graph = await record(
      () => new Network("shop", { ...args, peering: { vpcId: "vpc-9", cidr: "10.100.0.0/16" } }),
    );
    expect(
      one(graph, "aws:ec2/vpcPeeringConnection:VpcPeeringConnection", "shop-peer").inputs,
    ).to.deep.include({
      peerVpcId: "vpc-9",
      autoAccept: true,
    });
    const routes = ofType(graph, "aws:ec2/route:Route");
    expect(new Set(routes.map(({ inputs }) => inputs.routeTableId)).size).to.equal(3);
    for (const { inputs } of routes) expect(inputs.destinationCidrBlock).to.equal("10.100.0.0/16");
  });
});
