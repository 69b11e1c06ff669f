#include "services/iam/managed_policies.h"

#include "base/crypto.h"
#include "base/str.h"

namespace virga::iam {

namespace {

// What each allows follows AWS's managed policy reference, as far as the services concerned exist here.
constexpr AwsPolicy
    kPolicies[] =
        {
            {"AWSAppSyncAdministrator", "/", "Provides administrative access to the AppSync service.",
             R"([{"Effect":"Allow","Action":["appsync:*"],"Resource":"*"},
{"Effect":"Allow","Action":["iam:PassRole"],"Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":["appsync.amazonaws.com"]}}}])"},
            {"AWSAppSyncInvokeFullAccess", "/", "Provides full invoke access to the AppSync service.",
             R"([{"Effect":"Allow","Action":["appsync:GraphQL","appsync:GetGraphqlApi","appsync:ListGraphqlApis","appsync:ListApiKeys"],"Resource":"*"}])"},
            {"AWSAppSyncPushToCloudWatchLogs", "/service-role/",
             "Allows AppSync to push logs to user's CloudWatch account.",
             R"([{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}])"},
            {"AWSCloudFormationFullAccess", "/", "Provides full access to AWS CloudFormation.",
             R"([{"Effect":"Allow","Action":["cloudformation:*"],"Resource":"*"}])"},
            {"AWSCloudFormationReadOnlyAccess", "/",
             "Provides access to AWS CloudFormation via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["cloudformation:Describe*","cloudformation:EstimateTemplateCost","cloudformation:Get*","cloudformation:List*","cloudformation:ValidateTemplate","cloudformation:Detect*"],"Resource":"*"}])"},
            {"AWSCodeDeployRoleForLambda", "/service-role/",
             "Provides CodeDeploy service access to perform a Lambda deployment on your behalf.",
             R"([{"Effect":"Allow","Action":["cloudwatch:DescribeAlarms","lambda:UpdateAlias","lambda:GetAlias","lambda:GetProvisionedConcurrencyConfig","sns:Publish"],"Resource":"*"},
{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"arn:aws:s3:::*/CodeDeploy/*"},
{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"*","Condition":{"StringEquals":{"s3:ExistingObjectTag/UseWithCodeDeploy":"true"}}},
{"Effect":"Allow","Action":["lambda:InvokeFunction"],"Resource":"arn:aws:lambda:*:*:function:CodeDeployHook_*"}])"},
            {"AWSCodeDeployRoleForLambdaLimited", "/service-role/",
             "Provides CodeDeploy service limited access to perform a Lambda deployment on your behalf.",
             R"([{"Effect":"Allow","Action":["cloudwatch:DescribeAlarms","lambda:UpdateAlias","lambda:GetAlias","lambda:GetProvisionedConcurrencyConfig"],"Resource":"*"},
{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"arn:aws:s3:::*/CodeDeploy/*"},
{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"*","Condition":{"StringEquals":{"s3:ExistingObjectTag/UseWithCodeDeploy":"true"}}},
{"Effect":"Allow","Action":["lambda:InvokeFunction"],"Resource":"arn:aws:lambda:*:*:function:CodeDeployHook_*"}])"},
            {"AWSKeyManagementServicePowerUser", "/", "Provides access to AWS Key Management Service (KMS).",
             R"([{"Effect":"Allow","Action":["kms:CreateAlias","kms:CreateKey","kms:DeleteAlias","kms:Describe*","kms:GenerateRandom","kms:Get*","kms:List*","kms:TagResource","kms:UntagResource","iam:ListGroups","iam:ListRoles","iam:ListUsers"],"Resource":"*"}])"},
            {"AWSLambdaBasicDurableExecutionRolePolicy", "/service-role/",
             "Write permissions to CloudWatch Logs and to the APIs of durable executions.",
             R"([{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"},
{"Effect":"Allow","Action":["lambda:CheckpointDurableExecution","lambda:GetDurableExecutionState"],"Resource":"*"}])"},
            {"AWSLambdaBasicExecutionRole", "/service-role/", "Provides write permissions to CloudWatch Logs.",
             R"([{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}])"},
            {"AWSLambdaDynamoDBExecutionRole", "/service-role/",
             "Provides list and read access to DynamoDB streams and write permissions to CloudWatch Logs.",
             R"([{"Effect":"Allow","Action":["dynamodb:DescribeStream","dynamodb:GetRecords","dynamodb:GetShardIterator","dynamodb:ListStreams","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}])"},
            {"AWSLambdaExecute", "/", "Provides Put, Get access to S3 and full access to CloudWatch Logs.",
             R"([{"Effect":"Allow","Action":["logs:*"],"Resource":"arn:aws:logs:*:*:*"},
{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::*"}])"},
            {"AWSLambdaInvocation-DynamoDB", "/", "Provides read access to DynamoDB Streams.",
             R"([{"Effect":"Allow","Action":["lambda:InvokeFunction"],"Resource":"*"},
{"Effect":"Allow","Action":["dynamodb:DescribeStream","dynamodb:GetRecords","dynamodb:GetShardIterator","dynamodb:ListStreams"],"Resource":"*"}])"},
            {"AWSLambdaKinesisExecutionRole", "/service-role/",
             "Provides list and read access to Kinesis streams and write permissions to CloudWatch Logs.",
             R"([{"Effect":"Allow","Action":["kinesis:DescribeStream","kinesis:DescribeStreamSummary","kinesis:GetRecords","kinesis:GetShardIterator","kinesis:ListShards","kinesis:ListStreams","kinesis:SubscribeToShard","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}])"},
            {"AWSLambdaManagedEC2ResourceOperator", "/", "Lets Lambda run the instances of a capacity provider.",
             R"([{"Effect":"Allow","Action":["ec2:RunInstances","ec2:CreateTags","ec2:AttachNetworkInterface"],"Resource":["arn:aws:ec2:*:*:instance/*","arn:aws:ec2:*:*:network-interface/*","arn:aws:ec2:*:*:volume/*"],"Condition":{"StringEquals":{"ec2:ManagedResourceOperator":"scaler.lambda.amazonaws.com"}}},
{"Effect":"Allow","Action":["ec2:Describe*"],"Resource":"*"},
{"Effect":"Allow","Action":["ec2:RunInstances","ec2:CreateNetworkInterface"],"Resource":["arn:aws:ec2:*:*:subnet/*","arn:aws:ec2:*:*:security-group/*"]},
{"Effect":"Allow","Action":["ec2:RunInstances"],"Resource":"arn:aws:ec2:*:*:image/*","Condition":{"StringEquals":{"ec2:Owner":"amazon"}}}])"},
            {"AWSLambdaRole", "/service-role/", "Default policy for AWS Lambda service role.",
             R"([{"Effect":"Allow","Action":["lambda:InvokeFunction"],"Resource":["*"]}])"},
            {"AWSLambdaSQSQueueExecutionRole", "/service-role/",
             "Provides receive message, delete message, and read attribute access to SQS queues, and write permissions "
             "to "
             "CloudWatch logs.",
             R"([{"Effect":"Allow","Action":["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:GetQueueAttributes","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}])"},
            {"AWSLambdaVPCAccessExecutionRole", "/service-role/",
             "Provides minimum permissions for a Lambda function to execute while accessing a resource within a VPC.",
             R"([{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents","ec2:CreateNetworkInterface","ec2:DescribeNetworkInterfaces","ec2:DescribeSubnets","ec2:DeleteNetworkInterface","ec2:AssignPrivateIpAddresses","ec2:UnassignPrivateIpAddresses"],"Resource":"*"}])"},
            {"AWSLambda_FullAccess", "/",
             "Grants full access to AWS Lambda service, AWS Lambda console features, and other related AWS services.",
             R"([{"Effect":"Allow","Action":["cloudformation:DescribeStacks","cloudformation:ListStackResources","cloudwatch:ListMetrics","cloudwatch:GetMetricData","ec2:DescribeSecurityGroups","ec2:DescribeSubnets","ec2:DescribeVpcs","kms:ListAliases","iam:GetPolicy","iam:GetPolicyVersion","iam:GetRole","iam:GetRolePolicy","iam:ListAttachedRolePolicies","iam:ListRolePolicies","iam:ListRoles","lambda:*","logs:DescribeLogGroups","states:DescribeStateMachine","states:ListStateMachines","tag:GetResources","xray:GetTraceSummaries","xray:BatchGetTraces"],"Resource":"*"},
{"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}},
{"Effect":"Allow","Action":["logs:DescribeLogStreams","logs:GetLogEvents","logs:FilterLogEvents","logs:StartLiveTail","logs:StopLiveTail"],"Resource":"arn:aws:logs:*:*:log-group:/aws/lambda/*"}])"},
            {"AWSLambda_ReadOnlyAccess", "/",
             "Grants read-only access to AWS Lambda service, AWS Lambda console features, and other related AWS "
             "services.",
             R"([{"Effect":"Allow","Action":["cloudformation:DescribeStacks","cloudformation:ListStackResources","cloudwatch:GetMetricData","cloudwatch:ListMetrics","ec2:DescribeSecurityGroups","ec2:DescribeSubnets","ec2:DescribeVpcs","kms:ListAliases","iam:GetPolicy","iam:GetPolicyVersion","iam:GetRole","iam:GetRolePolicy","iam:ListAttachedRolePolicies","iam:ListRolePolicies","iam:ListRoles","logs:DescribeLogGroups","lambda:Get*","lambda:List*","states:DescribeStateMachine","states:ListStateMachines","tag:GetResources","xray:GetTraceSummaries","xray:BatchGetTraces"],"Resource":"*"},
{"Effect":"Allow","Action":["logs:DescribeLogStreams","logs:GetLogEvents","logs:FilterLogEvents"],"Resource":"arn:aws:logs:*:*:log-group:/aws/lambda/*"}])"},
            {"AWSStepFunctionsFullAccess", "/",
             "An access policy for providing a user/role/etc access to the AWS StepFunctions API.",
             R"([{"Effect":"Allow","Action":"states:*","Resource":"*"}])"},
            {"AWSStepFunctionsReadOnlyAccess", "/",
             "An access policy for providing a user/role/etc read only access to the AWS StepFunctions service.",
             R"([{"Effect":"Allow","Action":["states:ListStateMachines","states:ListActivities","states:DescribeStateMachine","states:DescribeStateMachineForExecution","states:ListExecutions","states:DescribeExecution","states:GetExecutionHistory","states:DescribeActivity","states:ListTagsForResource","states:DescribeMapRun","states:ListMapRuns","states:DescribeStateMachineAlias","states:ListStateMachineAliases","states:ListStateMachineVersions","states:ValidateStateMachineDefinition"],"Resource":"*"}])"},
            {"AWSXRayDaemonWriteAccess", "/",
             "Allow the AWS X-Ray Daemon to relay raw trace segments data to the service's API and retrieve sampling "
             "data "
             "(rules, targets, etc.) to be used by the X-Ray SDK.",
             R"([{"Effect":"Allow","Action":["xray:PutTraceSegments","xray:PutTelemetryRecords","xray:GetSamplingRules","xray:GetSamplingTargets","xray:GetSamplingStatisticSummaries"],"Resource":["*"]}])"},
            {"AWSXrayFullAccess", "/", "AWS X-Ray full access managed policy.",
             R"([{"Effect":"Allow","Action":["xray:*"],"Resource":["*"]}])"},
            {"AWSXrayReadOnlyAccess", "/", "AWS X-Ray read only managed policy.",
             R"([{"Effect":"Allow","Action":["xray:GetSamplingRules","xray:GetSamplingTargets","xray:GetSamplingStatisticSummaries","xray:BatchGetTraces","xray:GetServiceGraph","xray:GetTraceGraph","xray:GetTraceSummaries","xray:GetGroups","xray:GetGroup","xray:ListTagsForResource","xray:ListResourcePolicies","xray:GetTimeSeriesServiceStatistics","xray:GetInsightSummaries","xray:GetInsight","xray:GetInsightEvents","xray:GetInsightImpactGraph"],"Resource":["*"]}])"},
            {"AWSXrayWriteOnlyAccess", "/", "AWS X-Ray write only managed policy.",
             R"([{"Effect":"Allow","Action":["xray:PutTraceSegments","xray:PutTelemetryRecords","xray:GetSamplingRules","xray:GetSamplingTargets","xray:GetSamplingStatisticSummaries"],"Resource":["*"]}])"},
            {"AdministratorAccess", "/", "Provides full access to AWS services and resources.",
             R"([{"Effect":"Allow","Action":"*","Resource":"*"}])"},
            {"AmazonAPIGatewayAdministrator", "/",
             "Provides full access to create/edit/delete APIs in Amazon API Gateway via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["apigateway:*"],"Resource":"arn:aws:apigateway:*::/*"}])"},
            {"AmazonAPIGatewayInvokeFullAccess", "/", "Provides full access to invoke APIs in Amazon API Gateway.",
             R"([{"Effect":"Allow","Action":["execute-api:Invoke","execute-api:ManageConnections"],"Resource":"arn:aws:execute-api:*:*:*"}])"},
            {"AmazonAPIGatewayPushToCloudWatchLogs", "/service-role/",
             "Allows API Gateway to push logs to user's account.",
             R"([{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:DescribeLogGroups","logs:DescribeLogStreams","logs:PutLogEvents","logs:GetLogEvents","logs:FilterLogEvents"],"Resource":"*"}])"},
            {"AmazonCognitoPowerUser", "/",
             "Provides administrative access to existing Amazon Cognito resources.", R"([{"Effect":"Allow","Action":["cognito-identity:*","cognito-idp:*","cognito-sync:*","iam:ListRoles","iam:ListOpenIdConnectProviders","iam:GetRole","iam:ListSAMLProviders","iam:GetSAMLProvider","kinesis:ListStreams","lambda:GetPolicy","lambda:ListFunctions","sns:GetSMSSandboxAccountStatus","sns:ListPlatformApplications","ses:ListIdentities","ses:GetIdentityVerificationAttributes"],"Resource":"*"}])"},
            {"AmazonCognitoReadOnly", "/", "Provides read only access to Amazon Cognito resources.",
             R"([{"Effect":"Allow","Action":["cognito-identity:Describe*","cognito-identity:Get*","cognito-identity:List*","cognito-idp:Describe*","cognito-idp:AdminGet*","cognito-idp:AdminList*","cognito-idp:List*","cognito-idp:Get*","iam:ListOpenIdConnectProviders","iam:ListRoles","sns:ListPlatformApplications"],"Resource":"*"}])"},
            {"AmazonDynamoDBFullAccess", "/", "Provides full access to Amazon DynamoDB via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["dynamodb:*","dax:*","application-autoscaling:DeleteScalingPolicy","application-autoscaling:DeregisterScalableTarget","application-autoscaling:DescribeScalableTargets","application-autoscaling:DescribeScalingActivities","application-autoscaling:DescribeScalingPolicies","application-autoscaling:PutScalingPolicy","application-autoscaling:RegisterScalableTarget","cloudwatch:DeleteAlarms","cloudwatch:DescribeAlarmHistory","cloudwatch:DescribeAlarms","cloudwatch:DescribeAlarmsForMetric","cloudwatch:GetMetricStatistics","cloudwatch:ListMetrics","cloudwatch:PutMetricAlarm","cloudwatch:GetMetricData","iam:GetRole","iam:ListRoles","kms:DescribeKey","kms:ListAliases","sns:CreateTopic","sns:DeleteTopic","sns:ListSubscriptions","sns:ListSubscriptionsByTopic","sns:ListTopics","sns:Subscribe","sns:Unsubscribe","sns:SetTopicAttributes","lambda:CreateFunction","lambda:ListFunctions","lambda:ListEventSourceMappings","lambda:CreateEventSourceMapping","lambda:DeleteEventSourceMapping","lambda:GetFunctionConfiguration","lambda:DeleteFunction","kinesis:ListStreams","kinesis:DescribeStream","kinesis:DescribeStreamSummary"],"Resource":"*"},
{"Effect":"Allow","Action":["iam:PassRole"],"Resource":"*","Condition":{"StringLike":{"iam:PassedToService":["application-autoscaling.amazonaws.com","application-autoscaling.amazonaws.com.cn","dax.amazonaws.com"]}}}])"},
            {"AmazonDynamoDBReadOnlyAccess", "/",
             "Provides read only access to Amazon DynamoDB via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["application-autoscaling:DescribeScalableTargets","application-autoscaling:DescribeScalingActivities","application-autoscaling:DescribeScalingPolicies","cloudwatch:DescribeAlarmHistory","cloudwatch:DescribeAlarms","cloudwatch:DescribeAlarmsForMetric","cloudwatch:GetMetricStatistics","cloudwatch:ListMetrics","cloudwatch:GetMetricData","dynamodb:BatchGetItem","dynamodb:Describe*","dynamodb:List*","dynamodb:GetAbacStatus","dynamodb:GetItem","dynamodb:GetResourcePolicy","dynamodb:Query","dynamodb:Scan","dynamodb:PartiQLSelect","dax:Describe*","dax:List*","dax:GetItem","dax:BatchGetItem","dax:Query","dax:Scan","iam:GetRole","iam:ListRoles","kms:DescribeKey","kms:ListAliases","sns:ListSubscriptionsByTopic","sns:ListTopics","lambda:ListFunctions","lambda:ListEventSourceMappings","lambda:GetFunctionConfiguration","kinesis:ListStreams","kinesis:DescribeStream","kinesis:DescribeStreamSummary"],"Resource":"*"}])"},
            {"AmazonEventBridgeFullAccess", "/", "Provides full access to Amazon EventBridge.",
             R"([{"Effect":"Allow","Action":["events:*","schemas:*","scheduler:*","pipes:*"],"Resource":"*"},
{"Effect":"Allow","Action":["iam:PassRole"],"Resource":"arn:aws:iam::*:role/*","Condition":{"StringLike":{"iam:PassedToService":["events.amazonaws.com","scheduler.amazonaws.com","pipes.amazonaws.com"]}}}])"},
            {"AmazonEventBridgeReadOnlyAccess", "/", "Provides read only access to Amazon EventBridge.",
             R"([{"Effect":"Allow","Action":["events:DescribeRule","events:DescribeEventBus","events:DescribeEventSource","events:ListEventBuses","events:ListEventSources","events:ListRuleNamesByTarget","events:ListRules","events:ListTargetsByRule","events:TestEventPattern","events:DescribeArchive","events:ListArchives","events:DescribeReplay","events:ListReplays","events:DescribeConnection","events:ListConnections","events:DescribeApiDestination","events:ListApiDestinations","events:DescribeEndpoint","events:ListEndpoints","schemas:Describe*","schemas:Get*","schemas:List*","schemas:Search*","scheduler:GetSchedule","scheduler:GetScheduleGroup","scheduler:ListSchedules","scheduler:ListScheduleGroups","scheduler:ListTagsForResource","pipes:DescribePipe","pipes:ListPipes","pipes:ListTagsForResource"],"Resource":"*"}])"},
            {"AmazonKinesisFirehoseFullAccess", "/",
             "Provides full access to all Amazon Kinesis Firehose Delivery Streams.",
             R"([{"Effect":"Allow","Action":["firehose:*"],"Resource":"*"}])"},
            {"AmazonKinesisFullAccess", "/", "Provides full access to all streams via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":"kinesis:*","Resource":"*"}])"},
            {"AmazonKinesisReadOnlyAccess", "/",
             "Provides read only access to all streams via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["kinesis:Get*","kinesis:List*","kinesis:Describe*"],"Resource":"*"}])"},
            {"AmazonS3FullAccess", "/", "Provides full access to all buckets via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["s3:*","s3-object-lambda:*"],"Resource":"*"}])"},
            {"AmazonS3ReadOnlyAccess", "/", "Provides read only access to all buckets via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*","s3-object-lambda:Get*","s3-object-lambda:List*"],"Resource":"*"}])"},
            {"AmazonSESFullAccess", "/", "Provides full access to Amazon SES via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["ses:*"],"Resource":"*"}])"},
            {"AmazonSESReadOnlyAccess", "/", "Provides read only access to Amazon SES via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["ses:Get*","ses:List*","ses:BatchGetMetricData"],"Resource":"*"}])"},
            {"AmazonSNSFullAccess", "/", "Provides full access to Amazon SNS via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["sns:*"],"Resource":"*"}])"},
            {"AmazonSNSReadOnlyAccess", "/", "Provides read only access to Amazon SNS via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["sns:GetTopicAttributes","sns:List*","sns:CheckIfPhoneNumberIsOptedOut","sns:GetEndpointAttributes","sns:GetDataProtectionPolicy","sns:GetPlatformApplicationAttributes","sns:GetSMSAttributes","sns:GetSMSSandboxAccountStatus","sns:GetSubscriptionAttributes"],"Resource":"*"}])"},
            {"AmazonSQSFullAccess", "/", "Provides full access to Amazon SQS via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["sqs:*"],"Resource":"*"}])"},
            {"AmazonSQSReadOnlyAccess", "/", "Provides read only access to Amazon SQS via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["sqs:GetQueueAttributes","sqs:GetQueueUrl","sqs:ListDeadLetterSourceQueues","sqs:ListQueues","sqs:ListMessageMoveTasks","sqs:ListQueueTags"],"Resource":"*"}])"},
            {"AmazonSSMFullAccess", "/", "Provides full access to Amazon SSM.",
             R"([{"Effect":"Allow","Action":["cloudwatch:PutMetricData","ds:CreateComputer","ds:DescribeDirectories","ec2:DescribeInstanceStatus","logs:*","ssm:*","ec2messages:*"],"Resource":"*"}])"},
            {"AmazonSSMReadOnlyAccess", "/", "Provides read only access to Amazon SSM.",
             R"([{"Effect":"Allow","Action":["ssm:Describe*","ssm:Get*","ssm:List*"],"Resource":"*"}])"},
            {"CloudWatchFullAccess", "/", "Provides full access to CloudWatch.",
             R"([{"Effect":"Allow","Action":["autoscaling:Describe*","cloudwatch:*","logs:*","sns:*","iam:GetPolicy","iam:GetPolicyVersion","iam:GetRole","oam:ListSinks"],"Resource":"*"}])"},
            {"CloudWatchFullAccessV2", "/", "Provides full access to CloudWatch.",
             R"([{"Effect":"Allow","Action":["application-autoscaling:DescribeScalingPolicies","application-signals:*","autoscaling:DescribeAutoScalingGroups","autoscaling:DescribePolicies","cloudwatch:*","logs:*","sns:CreateTopic","sns:ListSubscriptions","sns:ListSubscriptionsByTopic","sns:ListTopics","sns:Subscribe","iam:GetPolicy","iam:GetPolicyVersion","iam:GetRole","oam:ListSinks","rum:*","synthetics:*","xray:*"],"Resource":"*"}])"},
            {"CloudWatchLambdaInsightsExecutionRolePolicy", "/", "Policy required for the Lambda Insights Extension.",
             R"([{"Effect":"Allow","Action":"logs:CreateLogGroup","Resource":"*"},
{"Effect":"Allow","Action":["logs:CreateLogStream","logs:PutLogEvents"],"Resource":"arn:aws:logs:*:*:log-group:/aws/lambda-insights:*"}])"},
            {"CloudWatchLogsFullAccess", "/", "Provides full access to CloudWatch Logs.",
             R"([{"Effect":"Allow","Action":["logs:*","cloudwatch:GenerateQuery"],"Resource":"*"}])"},
            {"CloudWatchLogsReadOnlyAccess", "/", "Provides read only access to CloudWatch Logs.",
             R"([{"Effect":"Allow","Action":["logs:Describe*","logs:Get*","logs:List*","logs:StartQuery","logs:StopQuery","logs:TestMetricFilter","logs:FilterLogEvents","logs:StartLiveTail","logs:StopLiveTail","cloudwatch:GenerateQuery"],"Resource":"*"}])"},
            {"CloudWatchReadOnlyAccess", "/", "Provides read only access to CloudWatch.",
             R"([{"Effect":"Allow","Action":["application-autoscaling:DescribeScalingPolicies","autoscaling:Describe*","cloudwatch:BatchGet*","cloudwatch:Describe*","cloudwatch:GenerateQuery","cloudwatch:Get*","cloudwatch:List*","logs:Get*","logs:List*","logs:StartQuery","logs:StopQuery","logs:Describe*","logs:TestMetricFilter","logs:FilterLogEvents","logs:StartLiveTail","logs:StopLiveTail","sns:Get*","sns:List*","xray:BatchGet*","xray:Get*"],"Resource":"*"}])"},
            {"IAMFullAccess", "/", "Provides full access to IAM via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["iam:*","organizations:DescribeAccount","organizations:DescribeOrganization","organizations:DescribeOrganizationalUnit","organizations:DescribePolicy","organizations:ListChildren","organizations:ListParents","organizations:ListPoliciesForTarget","organizations:ListRoots","organizations:ListPolicies","organizations:ListTargetsForPolicy"],"Resource":"*"}])"},
            {"IAMReadOnlyAccess", "/", "Provides read only access to IAM via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["iam:GenerateCredentialReport","iam:GenerateServiceLastAccessedDetails","iam:Get*","iam:List*","iam:SimulateCustomPolicy","iam:SimulatePrincipalPolicy"],"Resource":"*"}])"},
            {"PowerUserAccess", "/",
             "Provides full access to AWS services and resources, but does not allow management of Users and groups.",
             R"([{"Effect":"Allow","NotAction":["iam:*","organizations:*","account:*"],"Resource":"*"},
{"Effect":"Allow","Action":["account:GetAccountInformation","account:GetPrimaryEmail","account:ListRegions","iam:CreateServiceLinkedRole","iam:DeleteServiceLinkedRole","iam:ListRoles","organizations:DescribeEffectivePolicy","organizations:DescribeOrganization"],"Resource":"*"}])"},
            {"ReadOnlyAccess", "/", "Provides read-only access to AWS services and resources.", R"([{"Effect":"Allow","Action":["acm:Describe*","acm:Get*","acm:List*","apigateway:GET","appsync:Get*","appsync:List*","application-autoscaling:Describe*","athena:Batch*","athena:Get*","athena:List*","cloudformation:Describe*","cloudformation:Detect*","cloudformation:Estimate*","cloudformation:Get*","cloudformation:List*","cloudfront:Describe*","cloudfront:Get*","cloudfront:List*","cloudtrail:Describe*","cloudtrail:Get*","cloudtrail:List*","cloudtrail:LookupEvents","cloudwatch:BatchGet*","cloudwatch:Describe*","cloudwatch:Get*","cloudwatch:List*","codedeploy:BatchGet*","codedeploy:Get*","codedeploy:List*","cognito-identity:Describe*","cognito-identity:GetIdentityPoolRoles","cognito-identity:List*","cognito-identity:Lookup*","cognito-idp:AdminGet*","cognito-idp:AdminList*","cognito-idp:Describe*","cognito-idp:Get*","cognito-idp:List*","dax:BatchGetItem","dax:Describe*","dax:GetItem","dax:List*","dax:Query","dax:Scan","dynamodb:BatchGet*","dynamodb:Describe*","dynamodb:Get*","dynamodb:List*","dynamodb:PartiQLSelect","dynamodb:Query","dynamodb:Scan","ecr:BatchCheck*","ecr:BatchGet*","ecr:Describe*","ecr:Get*","ecr:List*","elasticache:Describe*","elasticache:List*","events:Describe*","events:List*","events:Test*","firehose:Describe*","firehose:List*","glue:BatchGet*","glue:Get*","glue:List*","glue:Search*","iam:Generate*","iam:Get*","iam:List*","iam:Simulate*","kinesis:Describe*","kinesis:Get*","kinesis:List*","kms:Describe*","kms:Get*","kms:List*","lambda:Get*","lambda:List*","logs:Describe*","logs:FilterLogEvents","logs:Get*","logs:ListAnomalies","logs:ListTagsForResource","logs:ListTagsLogGroup","logs:StartQuery","logs:StopQuery","logs:TestMetricFilter","pipes:DescribePipe","pipes:List*","rds:Describe*","rds:Download*","rds:List*","route53:Get*","route53:List*","route53:Test*","s3:DescribeJob","s3:Get*","s3:List*","scheduler:Get*","scheduler:List*","schemas:Describe*","schemas:Get*","schemas:List*","schemas:Search*","secretsmanager:Describe*","secretsmanager:GetResourcePolicy","secretsmanager:List*","serverlessrepo:Get*","serverlessrepo:List*","serverlessrepo:SearchApplications","ses:BatchGetMetricData","ses:Describe*","ses:Get*","ses:List*","sns:Check*","sns:Get*","sns:List*","sqs:Get*","sqs:List*","sqs:Receive*","ssm:Describe*","ssm:Get*","ssm:List*","states:Describe*","states:GetExecutionHistory","states:List*","sts:GetAccessKeyInfo","sts:GetCallerIdentity","sts:GetSessionToken","tag:Get*","xray:BatchGet*","xray:Get*"],"Resource":"*"}])"},
            {"SecretsManagerReadWrite", "/",
             "Provides read/write access to AWS Secrets Manager via the AWS Management Console.",
             R"([{"Effect":"Allow","Action":["secretsmanager:*","cloudformation:CreateChangeSet","cloudformation:DescribeChangeSet","cloudformation:DescribeStackResource","cloudformation:DescribeStacks","cloudformation:ExecuteChangeSet","kms:DescribeKey","kms:ListAliases","kms:ListKeys","lambda:ListFunctions","rds:DescribeDBInstances","tag:GetResources"],"Resource":"*"},
{"Effect":"Allow","Action":["lambda:AddPermission","lambda:CreateFunction","lambda:GetFunction","lambda:InvokeFunction","lambda:UpdateFunctionConfiguration"],"Resource":"arn:aws:lambda:*:*:function:SecretsManager*"}])"},
};

}  // namespace

std::string AwsPolicy::arn() const { return cat("arn:aws:iam::aws:policy", path, name); }

std::string AwsPolicy::document() const { return cat(R"({"Version":"2012-10-17","Statement":)", statements, "}"); }

std::string AwsPolicy::id() const {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string out = "ANPA";
  for (unsigned char c : sha256(name).substr(0, 17)) out += kAlphabet[c % kAlphabet.size()];
  return out;
}

std::span<const AwsPolicy> aws_policies() { return kPolicies; }

const AwsPolicy* find_aws_policy(std::string_view arn) {
  if (!arn.starts_with("arn:aws:iam::aws:policy/")) return nullptr;
  const std::string_view name = arn.substr(arn.rfind('/') + 1);
  for (const AwsPolicy& p : kPolicies) {
    if (p.name == name) return p.arn() == arn ? &p : nullptr;
  }
  return nullptr;
}

}  // namespace virga::iam
