/** Why a blind change need not be found, by what it changes: `<type> <property> <kind>`. The first that fits holds. */
const explanations: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [
    /Dashboard |[dD]escription |[cC]omment |:Sid |\.Sid |CatalogTable |PartitionIndex |CatalogDatabase /,
    "text and tables for people: it protects nothing",
  ],
  [/ tags\S* /, "a tag beyond the required ones, or one of a type that the tag rules leave to the provider"],
  [
    / (name|bucket|key|url|namespaceName|workgroupName|functionName|dashboardName|groupName) removed$/,
    "without a name Pulumi makes one up; where others refer to it by name, the deployment fails",
  ],
  [
    /stateMachine\S* definition:/,
    "the flow itself: its tests run it, and AWS refuses a definition that is none. Rules hold its retries, catches, " +
      "timeouts, logs, keys and secrets; what it may reach is its role's to say",
  ],
  [
    /cloudformation\/stack\S* (templateBody|onFailure)/,
    "DataBrew's own resources, which Pulumi does not know: tests of the low-code part hold them, and the role bounds them",
  ],
  [
    /lambda\/invocation|scheduler\/schedule\S* (target\.(input|arn|roleArn)|schedule|state|flexible|groupName)/,
    "what runs when: it fails or does nothing, and protects nothing",
  ],
  [
    /policy:(Version|Id) |assumeRolePolicy:Version /,
    "the version of a document: without, IAM reads an older language that has no policy variables, of which there are none",
  ],
  [
    /(olicy|Policy|Key)\S* \S*(policy|assumeRolePolicy)\S* removed$/,
    "less is allowed, or a statement that AWS refuses; a condition that matters is one that the IAM rules ask for",
  ],
  [
    /(iam\/policy:Policy|iam\/rolePolicy:RolePolicy) (policy|role) removed$/,
    "AWS refuses a policy without it",
  ],
  [
    /assumeRolePolicy:\S* (removed|widened)$/,
    "a trust that nobody fits, which AWS refuses or which lets nobody in; wider principals are found one by one in the IAM mutants",
  ],
  [
    /(rolePolicy|topicPolicy|vpcEndpoint|key:Key|bucketPolicy)\S* policy:\S* widened$/,
    "still within the stack's names, bounded by the permissions boundary or by another condition of the statement; " +
      "the rules ask for wildcards beyond that",
  ],
  [
    /openIdConnectProvider|maxSessionDuration|okActions|deletionWindowInDays removed|recoveryPeriodInDays removed|rotationPeriodInDays removed|kmsDataKeyReusePeriodSeconds removed|onFailure removed|forceDestroy removed|enableDnsSupport removed|maxConcurrentRuns removed|executionProperty removed|flowLog\S* maxAggregationInterval|breachAction|period removed/,
    "AWS's default is within the rule's bounds, or the setting is a matter of taste",
  ],
  [
    /stateMachine\S* (encryptionConfiguration|roleArn|type)/,
    "how often a data key is asked for, or AWS refuses it",
  ],
  [/maximumRetryAttempts zero$/, "no retry is allowed: the event goes to the dead-letter queue at once"],
  [
    /metricAlarm\S* metricQueries\[\]\.(id|period|returnData)/,
    "AWS refuses an alarm on a query without an id, without returned data, or with a period that is not of its list",
  ],
  [
    /DataCatalogEncryptionSettings \S*catalogEncryptionServiceRole removed$/,
    "AWS refuses SSE-KMS-WITH-SERVICE-ROLE without the role",
  ],
  [
    /metricAlarm\S* (threshold|comparisonOperator|namespace|statistic|treatMissingData|dimensions)/,
    "how much is too much is the stack's to know; without a required one AWS refuses the alarm",
  ],
  [
    /job:Job |lambda\/function:Function (architectures|code|environment|handler|loggingConfig|layers|role|vpcConfig\.subnetIds)/,
    "what a job or function does with its arguments: tests run it; without a required one AWS refuses it",
  ],
  [
    /bucketLifecycleConfiguration\S* |bucketLogging\S* |bucketNotification\S* |bucketObjectv2\S* |kms\/alias\S* |eventRule\S* |eventTarget\S* |topicSubscription\S* |budget\S* /,
    "data is kept longer, told elsewhere or not at all, or AWS refuses it: nothing is opened or lost",
  ],
  [
    /ec2\/|vpc\/|awsx:|glue\/connection/,
    "the network becomes narrower, or AWS refuses it: what opens it, rules find. A range of ports is within named groups",
  ],
  [
    /restApiPolicy\S* policy:\S*Principal\S* widened$/,
    "a wildcard within a principal's ARN is no pattern: AWS refuses it",
  ],
  [
    /apigateway\/(account|model|integration|integrationResponse|method|methodResponse|resource|deployment|requestValidator|restApi|restApiPolicy|stage|methodSettings):/,
    "what requests look like and where they go: tests hold each input. Rules hold who may call, validation, logs, traces, " +
      "throttling and the policy; without a required one AWS refuses it, and bodies are logged only when told to",
  ],
  [
    /emrserverless\/application\S* (architecture|autoStart|interactiveConfiguration\.livy|maximumCapacity\.disk|monitoringConfiguration\.cloudwatch|networkConfiguration|type)/,
    "the job does not start, or which streams of its log are kept, told by tests; AWS's default for Livy is off",
  ],
  [
    /eventSourceMapping\S* |lambda\/permission\S* function /,
    "a batch is tried again as a whole, never lost: what fails to the end has its destination, which a rule asks for",
  ],
  [
    /metricAlarm\S* datapointsToAlarm/,
    "the default is all of the evaluated periods; AWS refuses more or none",
  ],
  [
    /dynamodb\/table\S* |kinesis\/stream\S* |redshiftserverless\/\S* |securityConfiguration\S* |usageLimit/,
    "AWS refuses it, or its default is the same",
  ],
];

export const explanationOf = (name: string): string | undefined =>
  explanations.find(([pattern]) => pattern.test(name))?.[1];
